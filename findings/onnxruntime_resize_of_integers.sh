#!/usr/bin/env bash
# onnxruntime 1.31.1: linear Resize of int8 and uint8 cuts fractions off, so quantised images drift towards zero.
#
# Expected: an interpolated value between two bytes is the nearest byte, as everywhere in quantised arithmetic: the error is at
# most half a step and zero on average.
# Seen: the fraction is dropped, towards 0 for int8 and downwards for uint8: up to a whole step, always in the same direction.
# onnxruntime's own quantiser writes such nodes in its QOperator format (Resize between QLinear operators), so the network it
# was calibrated as, with Q and DQ around a float Resize, and the one that it writes differ in every second pixel.
#
# Output seen (a row of -5, 0, 7, four times as wide; as int8, as floats):
#   [-5, -5, -4, -3, -1, 0, 0, 2, 4, 6, 7, 7]
#   [-5.0, -5.0, -4.375, -3.125, -1.875, -0.625, 0.875, 2.625, 4.375, 6.125, 7.0, 7.0]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def resized(row, kind):
    """The row, four times as wide, in the middle of whose pixels the old ones lie."""
    values = [helper.make_tensor_value_info("x", kind, row.shape), helper.make_tensor_value_info("y", kind, None)]
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear")
    scales = numpy_helper.from_array(np.array([1, 1, 1, 4], np.float32), "scales")
    graph = helper.make_graph([node], "g", values[:1], values[1:], [scales])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": row})[0].ravel()


row = np.array([[[[-5, 0, 7]]]], np.int8)
integers, numbers = resized(row, TensorProto.INT8), resized(row.astype(np.float32), TensorProto.FLOAT)
print(integers.tolist())
print(numbers.tolist())
raise SystemExit(0 if np.array_equal(integers, np.trunc(numbers)) and np.any(integers != np.rint(numbers)) else 1)
PYTHON
