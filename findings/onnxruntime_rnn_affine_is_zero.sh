#!/usr/bin/env bash
# onnxruntime 1.31.1: the activations Affine and ScaledTanh of RNN, GRU and LSTM compute 0 unless alpha is given.
#
# Expected: activation_alpha is optional; for activations with a default of their own in ONNX it is that (LeakyRelu 0.01 ...).
# For one that has none, a model without alpha would be refused, or alpha and beta would be 1, as in the usual definitions of
# alpha * x + beta and alpha * tanh(beta * x).
# Seen: 0 for both numbers. The layer's result is 0 for every input, without a warning. onnx's text gives no default for
# these two, its checker accepts the file.
#
# Output seen (one step, the input 0.5 times the weight 4):
#   Affine 0.0, ScaledTanh 0.0, LeakyRelu 2.0, HardSigmoid 0.9
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

constants = [numpy_helper.from_array(np.full((1, 1, 1), v, np.float32), n) for n, v in (("w", 4), ("r", 0))]
seen = {}
for activation in ("Affine", "ScaledTanh", "LeakyRelu", "HardSigmoid"):
    node = helper.make_node("RNN", ["x", "w", "r"], ["", "y"], hidden_size=1, activations=[activation])
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1]) for name in "xy"]
    graph = helper.make_graph([node], "g", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen[activation] = round(float(session.run(None, {"x": np.full((1, 1, 1), 0.5, np.float32)})[0].item()), 3)
print(", ".join(f"{name} {value}" for name, value in seen.items()))
raise SystemExit(0 if list(seen.values()) == [0.0, 0.0, 2.0, 0.9] else 1)
PYTHON
