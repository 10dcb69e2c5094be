#!/usr/bin/env bash
# onnxruntime 1.31.1: Pad in front of MaxPool loses its zeros: the pool's own padding is below every number.
#
# Expected: Pad adds zeros, and the maximum of a window at the border of negative numbers is one of them, 0. So it is without
# optimisation, and in onnx's reference evaluator.
# Seen: from the lowest level of optimisation on, and so by default, Pad becomes `pads` of MaxPool, which leaves padding out of the maximum.
# Keras' ZeroPadding2D in front of MaxPooling2D, as in the ResNets of keras.applications, is exported as this pair. Behind a Relu, as
# there, nothing shows; behind LeakyRelu, tanh, a normalisation, or at the input it does, along the border only.
# Pad of a value other than 0, and AveragePool, are left alone.
#
# Output seen (-1 -2 -3 -4, Pad by one on both sides, a window of 3):
#   not optimised   0 -1 -2 0
#   by default      -1 -1 -2 -3
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


found = {}
for name, level in (("not optimised", LEVELS.ORT_DISABLE_ALL), ("by default", LEVELS.ORT_ENABLE_ALL)):
    nodes = [
        helper.make_node("Pad", ["x", "by"], ["padded"]),
        helper.make_node("MaxPool", ["padded"], ["y"], kernel_shape=[3]),
    ]
    x = -np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4)
    found[name] = run(nodes, {"by": np.array([0, 0, 1, 0, 0, 1])}, x, [1, 1, 4], level).ravel().astype(int).tolist()
    print(f"{name:15}", *found[name])
raise SystemExit(0 if found == {"not optimised": [0, -1, -2, 0], "by default": [-1, -1, -2, -3]} else 1)
PYTHON
