#!/usr/bin/env bash
# ONNX Runtime on x86-64: int8 models with a Transpose between DequantizeLinear and the next operator don't load from opset 21 on.
#
# One would expect a QDQ model that onnx's checker accepts to load at every level of graph optimisation, as it does with none.
# What happens (onnxruntime 1.31.1): DequantizeLinear -> Transpose -> Relu -> QuantizeLinear with int8 zero points makes
# InferenceSession fail at the levels EXTENDED and ALL, the default. The transpose optimiser inserts a QuantizeLinear that says
# output_dtype INT8; the pass that turns int8 into uint8 on this architecture then changes its zero point alone. At opset 20, where QuantizeLinear has
# no output_dtype, the same model loads, and with uint8 zero points it does as well.
#
# Output seen:
#   opset 20, int8    ok
#   opset 21, int8    output_dtype INT8 does not match y_zero_point type UINT8
#   opset 21, uint8   ok
#   opset 21, int8, optimisation off  ok
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import platform
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
if platform.machine() != "x86_64":
    sys.exit("this shows on x86-64 only")


def loads(opset, zero_point, level=onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL):
    constants = {"scale": np.float32(0.05), "zero": zero_point}

    def pair(source, result):
        return [
            helper.make_node("QuantizeLinear", [source, "scale", "zero"], [result + "_q"]),
            helper.make_node("DequantizeLinear", [result + "_q", "scale", "zero"], [result]),
        ]

    middle = [
        helper.make_node("Transpose", ["a"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Relu", ["turned"], ["positive"]),
    ]
    graph = helper.make_graph(
        pair("x", "a") + middle + pair("positive", "y"),
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    try:
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return str(error)[str(error).find("output_dtype") :].rstrip(".")
    return "ok"


off = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
seen = [loads(20, np.int8(3)), loads(21, np.int8(3)), loads(21, np.uint8(3)), loads(21, np.int8(3), off)]
for what, result in zip(("opset 20, int8", "opset 21, int8", "opset 21, uint8", "opset 21, int8, optimisation off"), seen):
    print(f"{what:<18}{result}" if len(what) < 18 else f"{what}  {result}")
sys.exit(seen != ["ok", "output_dtype INT8 does not match y_zero_point type UINT8", "ok", "ok"])
PYTHON
