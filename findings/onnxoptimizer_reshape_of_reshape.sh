#!/usr/bin/env bash
# onnxoptimizer 0.4.2: of two reshapes the second stays as it is, though its 0 and -1 are about the first one's result.
#
# Expected: Reshape(Reshape(x)) is one Reshape where the last shape is written out. A 0 means "as many as the operand has on this
# axis", so a shape with a 0 can't be moved to another operand as it stands.
# Seen: eliminate_consecutive_idempotent_ops, one of the default passes, looks only whether both nodes are Reshape, and drops the first.
# (2, 3, 4) by way of (4, 6) with (0, -1) becomes (2, 12) instead of (4, 6), beside an output that is declared as (4, 6).
# (0, -1) is a common way to write a flatten. onnxsim 0.8.1 and onnxslim 0.1.98 keep the meaning.
# A second pass of this kind: fuse_consecutive_squeezes adds axes that count from the end to those that count from the front;
# Squeeze(0, -1) and Squeeze(-2) of (1, 2, 1, 3, 1) becomes one for axes of 3 elements, which no runtime takes.
#
# Output seen:
#   Reshape Reshape   before (4, 6)    after (2, 12)
#   Squeeze Squeeze   before (2, 3)    after: refused by onnxruntime
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)


def model(operator, shape, first, second, result):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "first"], ["between"]), helper.make_node(operator, ["between", "second"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
        [numpy_helper.from_array(np.array(value), name) for name, value in (("first", first), ("second", second))],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made


def shape_of(model, shape):
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
        return session.run(None, {"x": np.zeros(shape, np.float32)})[0].shape
    except Exception as error:
        return "refused" if "Dimension of input" in str(error) else str(error)


found = []
for operator, shape, first, second, result in (
    ("Reshape", (2, 3, 4), [4, 6], [0, -1], (4, 6)),
    ("Squeeze", (1, 2, 1, 3, 1), [0, -1], [-2], (2, 3)),
):
    made = model(operator, shape, first, second, result)
    try:
        found += [shape_of(made, shape), shape_of(onnxoptimizer.optimize(made), shape)]
    except RuntimeError as error:
        found += [str(error)]
    print(operator, operator, "  before", found[-2], "  after", found[-1])
raise SystemExit(0 if found[:2] == [(4, 6), (2, 12)] and found[3] == "refused" else 1)
PYTHON
