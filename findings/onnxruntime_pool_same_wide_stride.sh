#!/usr/bin/env bash
# ONNX Runtime: auto_pad SAME with a stride beyond the window is computed by AveragePool and refused by MaxPool.
#
# One would expect both pools to agree about which windows there are: SAME_UPPER says ceil(size / stride) of them. With a
# window of 2 and a stride of 4 over 7 elements the padding that this asks for is negative.
# What happens (onnxruntime 1.31.1): AveragePool takes the windows at 0 and 4, as if the padding were 0; MaxPool of the same
# attributes and shape fails when it runs ("padding values must be non-negative"). onnx 1.23.2's reference
# evaluator is the other way round: it computes MaxPool, and AveragePool raises a ValueError.
#
# Output seen:
#   MaxPool      onnxruntime  raises
#   MaxPool      reference    [16.0, 20.0, 44.0, 48.0]
#   AveragePool  onnxruntime  [4.0, 8.0, 32.0, 36.0]
#   AveragePool  reference    raises
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)
image = np.arange(49, dtype=np.float32).reshape(1, 1, 7, 7)
seen = {}
for operator in ("MaxPool", "AveragePool"):
    node = helper.make_node(operator, ["x"], ["y"], kernel_shape=[2, 2], strides=[4, 4], auto_pad="SAME_UPPER")
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, image.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    runners = {
        "onnxruntime": lambda: onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": image}),
        "reference": lambda: ReferenceEvaluator(model).run(None, {"x": image}),
    }
    for name, run in runners.items():
        try:
            seen[operator, name] = run()[0].ravel().tolist()
        except Exception:
            seen[operator, name] = "raises"
        print(f"{operator:<13}{name:<13}{seen[operator, name]}")
sys.exit(
    list(seen.values()) != ["raises", [16.0, 20.0, 44.0, 48.0], [4.0, 8.0, 32.0, 36.0], "raises"]
)
PYTHON
