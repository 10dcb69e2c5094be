#!/usr/bin/env bash
# onnx's reference evaluator: Attention's qk_matmul_output of mode 0 has the softcap in it.
#
# One would expect what the operator says (opset 23): mode 0 is the product of queries and keys as it is, mode 1 or 2 (by
# release) what softcap and mask make of it.
# What happens (onnx 1.23.2): with softcap=1 the evaluator's output of mode 0 is tanh of the products, as in the later modes.
# onnxruntime 1.31.1 gives the products.
#
# Output seen:
#   product      -2.1225 -3.3982 0.3748
#   reference    -0.9717 -0.9978 0.3582
#   onnxruntime  -2.1225 -3.3982 0.3748
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)
fed = {name: (3 * rng.normal(size=(1, 2, 3, 4))).astype(np.float32) for name in "qkv"}
graph = helper.make_graph(
    [helper.make_node("Attention", ["q", "k", "v"], ["y", "", "", "scores"], softcap=1.0, qk_matmul_output_mode=0)],
    "graph",
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3, 4]) for name in "qkv"],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("y", "scores")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
product = fed["q"] @ fed["k"].transpose(0, 1, 3, 2) / 2
reference = ReferenceEvaluator(model).run(None, fed)[1]
runtime = onnxruntime.InferenceSession(model.SerializeToString()).run(None, fed)[1]
for name, values in (("product", product), ("reference", reference), ("onnxruntime", runtime)):
    print(f"{name:<12}", *(f"{value:.4f}" for value in values.ravel()[:3]))
capped = np.tanh(product)
sys.exit(not (np.allclose(reference, capped, atol=1e-4) and np.allclose(runtime, product, atol=1e-4)))
PYTHON
