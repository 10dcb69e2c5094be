#!/usr/bin/env bash
# onnxruntime 1.31.1: the same average pool divides by another number of elements once it is quantised.
#
# Expected: QLinearAveragePool with ceil_mode = 1 and count_include_pad = 1 is AveragePool on the dequantised tensor, within
# a step. Padding counts, but what a last window covers beyond the padding doesn't (ONNX's AveragePool, opset 19 and later).
# Seen: the float kernel divides a last window that reaches beyond by the elements inside the padded tensor, the quantised
# kernel by the whole window: 15 becomes 10, a wrong edge with no message. Quantising such a net (PyTorch's
# AvgPool2d(ceil_mode=True) has count_include_pad by default) loses it a third of its right-hand column.
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np, onnxruntime
from onnx import TensorProto, helper, numpy_helper

window = dict(kernel_shape=[1, 3], strides=[1, 2], pads=[0, 0, 0, 1], ceil_mode=1, count_include_pad=1)
x = np.full((1, 1, 1, 5), 30, np.int8)  # 5 and one: windows begin at 0, 2, 4; the last covers one of padding, one beyond


def run(node, dtype, constants):
    kind = TensorProto.INT8 if dtype == np.int8 else TensorProto.FLOAT
    values = [helper.make_tensor_value_info("x", kind, x.shape), helper.make_tensor_value_info("y", kind, None)]
    tensors = [numpy_helper.from_array(np.array(v), n) for n, v in constants.items()]
    graph = helper.make_graph([node], "g", values[:1], values[1:], tensors)
    imports = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x.astype(dtype)})[0].ravel().tolist()


real = run(helper.make_node("AveragePool", ["x"], ["y"], **window), np.float32, {})
operands = ["x", "s", "z", "s", "z"]
node = helper.make_node("QLinearAveragePool", operands, ["y"], domain="com.microsoft", **window)
integers = run(node, np.int8, {"s": np.float32(1), "z": np.int8(0)})
print("onnxruntime", onnxruntime.__version__, "float32", real, "int8", integers)
raise SystemExit(0 if real == [30, 30, 15] and integers == [30, 30, 10] else 1)
PYTHON
