#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: ConvTranspose raises for groups of several channels, and for output_shape without auto_pad.
#
# Expected: what ONNX's text and its checker allow. Weights are (C_in, C_out / group, ...): a group has C_in / group input channels and any number of
# outputs. output_shape says how large the result is, and padding follows from it. onnxruntime 1.31.1 computes all of these.
# Seen: groups work where each has one input and one output channel (depthwise); all others end in NumPy's errors on shapes. output_shape works
# together with auto_pad, and without it raises, as the padding is taken for 0 before it is computed.
#
# Output seen (evaluator; onnxruntime):
#   1 group, 2 to 3 channels           equal
#   4 groups, 4 to 4 channels          equal
#   2 groups, 4 to 2 channels          ValueError
#   2 groups, 4 to 6 channels          ValueError
#   output_shape 9 with SAME_UPPER     equal
#   output_shape 9 without auto_pad    ValueError
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)


def compared(inputs, weights, **attributes):
    x = rng.normal(size=(1, inputs, 5)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "l"])],
        [numpy_helper.from_array(rng.normal(size=weights).astype(np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    right = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    try:
        return "equal" if np.allclose(ReferenceEvaluator(model).run(None, {"x": x})[0], right, atol=1e-5) else "another"
    except ValueError as error:
        return type(error).__name__


found = []
for name, *case, attributes in (
    ("1 group, 2 to 3 channels", 2, (2, 3, 3), {}),
    ("4 groups, 4 to 4 channels", 4, (4, 1, 3), {"group": 4}),
    ("2 groups, 4 to 2 channels", 4, (4, 1, 3), {"group": 2}),
    ("2 groups, 4 to 6 channels", 4, (4, 3, 3), {"group": 2}),
    ("output_shape 9 with SAME_UPPER", 1, (1, 1, 3), {"strides": [2], "output_shape": [9], "auto_pad": "SAME_UPPER"}),
    ("output_shape 9 without auto_pad", 1, (1, 1, 3), {"strides": [2], "output_shape": [9]}),
):
    found.append(compared(*case, **attributes))
    print(f"{name:34} {found[-1]}")
raise SystemExit(found != ["equal", "equal", "ValueError", "ValueError", "equal", "ValueError"])
PYTHON
