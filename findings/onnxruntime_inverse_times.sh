#!/usr/bin/env bash
# onnxruntime 1.31.1: (1 / x) * u becomes u / x for integers, too, and where the 1 has more axes than x.
#
# Expected: for floats the two differ in a last bit. For integers 1 / x is 0 unless x is 1 or -1 (ONNX cuts the fraction off), so the product
# is a selection, not a quotient. And an operand of shape (1, 1) makes the result one of two axes, as broadcasting does everywhere.
# Seen: from the lowest level of optimisation on, and so by default, both pairs are one Div of u by x, whatever the type. The integers
# come out as quotients; the result of x and u of shape (4,) has the shape (4,) though the file declares (1, 4), of which
# onnxruntime itself warns only in its log.
#
# Output seen (x = 1, 2, 3, -1; u = 10, 9, 8, 7):
#   not optimised   int64  10 0 0 -7    shape of floats (1, 4)
#   by default      int64  10 4 2 -7    shape of floats (4,)
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

LEVELS = onnxruntime.GraphOptimizationLevel


def run(nodes, constants, x, result, level, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, result)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


onnxruntime.set_default_logger_severity(4)
NODES = [helper.make_node("Div", ["one", "x"], ["inverse"]), helper.make_node("Mul", ["inverse", "u"], ["y"])]
X, U = np.array([1, 2, 3, -1]), np.array([10, 9, 8, 7])
found = []
for name, level in (("not optimised", LEVELS.ORT_DISABLE_ALL), ("by default", LEVELS.ORT_ENABLE_ALL)):
    integers = run(NODES, {"one": np.int64(1), "u": U}, X, [4], level, TensorProto.INT64).tolist()
    constants = {"one": np.ones((1, 1), np.float32), "u": U.astype(np.float32)}
    shape = run(NODES, constants, X.astype(np.float32), [1, 4], level).shape
    found.append((integers, shape))
    print(f"{name:15} int64  {' '.join(map(str, integers)):12} shape of floats {shape}")
raise SystemExit(0 if found == [([10, 0, 0, -7], (1, 4)), ([10, 4, 2, -7], (4,))] else 1)
PYTHON
