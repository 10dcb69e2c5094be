#!/usr/bin/env bash
# onnx 1.23.2: between opsets 12 and 13 its version converter changes Hardmax one way, and Softmax and LogSoftmax the other.
#
# Expected: until opset 12 the three treat everything from `axis` on as one row; from 13 on only the axis itself. A converter writes the
# difference out (Flatten, the operator, Reshape), or refuses the model as it does elsewhere ("no adapter").
# Seen: up, Softmax and LogSoftmax are written out and Hardmax is taken over as it is: one 1 for each row of the last axis, where
# there was one for all. Down, Softmax and LogSoftmax are taken over: probabilities that added up to 1 along an axis add up to 1
# over all that follows. Nothing is raised, shapes and checker are content. For matrices, and along the last axis, it is the same operator.
#
# Output seen (sum over all and along axis 1 of a result of shape (1, 2, 3), axis 1):
#                     before        after
#   Hardmax 12 -> 13     1             3
#   Softmax 12 -> 13     1             1
#   Softmax 13 -> 12     3             1
#   LogSoftmax 13 -> 12  3             1     (of its exponentials)
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, version_converter

LEVELS = onnxruntime.GraphOptimizationLevel


def model(operator, opset):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], axis=1)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=7)
    checker.check_model(made)
    return made


def total(model, operator):
    checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_DISABLE_ALL
    x = np.array([[[1, 2, 3], [3, 1, 2]]], np.float32)
    (y,) = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    return round(float((np.exp(y) if operator == "LogSoftmax" else y).sum()), 3)


found = []
for operator, before, after in (("Hardmax", 12, 13), ("Softmax", 12, 13), ("Softmax", 13, 12), ("LogSoftmax", 13, 12)):
    made = model(operator, before)
    found.append((total(made, operator), total(version_converter.convert_version(made, after), operator)))
    print(f"{operator + f' {before} -> {after}':20} before {found[-1][0]:g}, after {found[-1][1]:g}")
raise SystemExit(0 if found == [(1, 3), (1, 1), (3, 1), (3, 1)] else 1)
PYTHON
