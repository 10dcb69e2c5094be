#!/usr/bin/env bash
# ONNX Runtime: a quantised convolution with 2-bit weights loads only while optimisation is off.
#
# One would expect that a file which the runtime's own operators can run is loaded at the default level, too, as it is with
# weights of 4 or 8 bits.
# What happens (onnxruntime 1.31.1, CPU): the default level fuses the QDQ pattern around INT2 weights into QLinearConv (or
# QLinearMatMul), which has no kernel for them, and then calls the model that it made itself invalid. Gemm isn't fused and
# runs; so does everything with ORT_DISABLE_ALL.
#
# Output seen:
#   weights   operator   default        disabled
#   INT8      Conv       runs           runs
#   INT4      Conv       runs           runs
#   INT2      Conv       InvalidGraph   runs
#   INT2      MatMul     InvalidGraph   runs
#   INT2      Gemm       runs           runs
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
  numpy==2.4.0 ml_dtypes==0.6.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import ml_dtypes
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
LEVELS = onnxruntime.GraphOptimizationLevel


def outcome(operator, dtype, level):
    weights = np.resize([-2, 1, 0, -1, 1], (4, 3, 1, 1) if operator == "Conv" else (3, 4)).astype(dtype)
    fed = np.ones((1, 3, 4, 4) if operator == "Conv" else (2, 3), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["x8"]),
            helper.make_node("DequantizeLinear", ["x8", "scale", "zero"], ["a"]),
            helper.make_node("DequantizeLinear", ["q", "scale"], ["b"]),
            helper.make_node(operator, ["a", "b"], ["c"]),
            helper.make_node("QuantizeLinear", ["c", "scale", "zero"], ["y8"]),
            helper.make_node("DequantizeLinear", ["y8", "scale", "zero"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, fed.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [
            numpy_helper.from_array(np.float32(0.1), "scale"),
            numpy_helper.from_array(np.int8(0), "zero"),
            numpy_helper.from_array(weights, "q"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": fed})
    except Exception as error:
        return type(error).__name__
    return "runs"


table = []
print("weights   operator   default        disabled")
for name, dtype, operator in (
    ("INT8", np.int8, "Conv"),
    ("INT4", ml_dtypes.int4, "Conv"),
    ("INT2", ml_dtypes.int2, "Conv"),
    ("INT2", ml_dtypes.int2, "MatMul"),
    ("INT2", ml_dtypes.int2, "Gemm"),
):
    row = [outcome(operator, dtype, level) for level in (LEVELS.ORT_ENABLE_ALL, LEVELS.ORT_DISABLE_ALL)]
    table.append(row)
    print(f"{name:10}{operator:11}{row[0]:15}{row[1]}")
refused, loaded = ["InvalidGraph", "runs"], ["runs", "runs"]
sys.exit(table != [loaded, loaded, refused, refused, loaded])
PYTHON
