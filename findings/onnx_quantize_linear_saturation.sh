#!/usr/bin/env bash
# onnx 1.23.2: the reference evaluator's QuantizeLinear turns large positive values into the smallest number of the type.
#
# Expected: y = saturate(round(x / y_scale) + y_zero_point), so whatever is beyond uint8's range at the top is 255.
# onnxruntime 1.31.1 computes that.
# Seen: the evaluator converts round(x / y_scale) to int32 and adds the zero point there, before it saturates. From 2^31 on, less
# the zero point, the sum wraps round to a negative number and becomes 0, as infinity does. A fine scale is enough, no huge
# value is needed: with 6e-8 it begins at 128. The evaluator is what implementations are tested against.
#
# Output seen (onnx 1.23.2, onnxruntime 1.31.1; uint8, scale 2^-24, zero point 200):
#   x            [0.0, 1.0, 100.0, 127.99999, 128.0, inf]
#   onnxruntime  [200, 255, 255, 255, 255, 255]
#   evaluator    [200, 255, 255, 0, 0, 0]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.array([0, 1, 100, np.nextafter(np.float32(128), np.float32(0)), 128, np.inf], np.float32)
constants = {"scale": np.array(2**-24, np.float32), "zero": np.array(200, np.uint8)}
values = [helper.make_tensor_value_info(n, k, x.shape) for n, k in (("x", TensorProto.FLOAT), ("y", TensorProto.UINT8))]
node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
graph = helper.make_graph([node], "g", values[:1], values[1:], [numpy_helper.from_array(v, n) for n, v in constants.items()])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
(evaluator,) = ReferenceEvaluator(model).run(None, {"x": x})
(runtime,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
print("x           ", [float(str(v)) for v in x])
print("onnxruntime ", runtime.tolist())
print("evaluator   ", evaluator.tolist())
assert runtime.tolist() == [200, 255, 255, 255, 255, 255]
raise SystemExit(0 if evaluator.tolist() == [200, 255, 255, 0, 0, 0] else 1)
PYTHON
