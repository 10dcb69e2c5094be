#!/usr/bin/env bash
# litert-quantizer 0.11.0, static int8: a product with the constant on the left computes zeros.
#
# Expected: w @ x is quantised as x @ w is: w's scales go along an axis of the result, so that they can be taken out of the sum
# (or there is one scale).
# Seen: w's scales go along its last axis. In w @ x that is the axis summed over, where no kernel can apply them: each
# product of one sum would have its own. The file loads without a message. BATCH_MATMUL's kernels take the tensor's one scale,
# which reads as 0 where there are several, so every element of the result is 0.
# Mixing layers have such a product (MLP-Mixer's tokens, a learned projection along time).
#
# Output seen (torch 2.13.0, litert-torch 0.10.0, ai-edge-litert 2.3.0):
#   Left  BUILTIN_REF  float [1.6, 1.9, -0.4], int8 [0.0, 0.0, 0.0]
#   Left  BUILTIN      float [1.6, 1.9, -0.4], int8 [0.0, 0.0, 0.0]
#   Right BUILTIN_REF  float [-4.1, 0.9, -0.8], int8 [-4.1, 0.9, -0.8]
#   Right BUILTIN      float [-4.1, 0.9, -0.8], int8 [-4.1, 0.9, -0.8]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
packages=(torch==2.13.0 litert-torch==0.10.0 litert-quantizer==0.11.0 ai-edge-litert==2.3.0 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$folder/venv/bin/python" - "$folder/product.tflite" 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import contextlib
import sys

import litert_torch
import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from litert_quantizer import quantizer, recipe

random = np.random.default_rng(0)
weights = torch.from_numpy(random.normal(size=(6, 6)).astype(np.float32))
samples = random.normal(size=(20, 6, 6)).astype(np.float32)


class Left(torch.nn.Module):
    def forward(self, x):
        return weights @ x


class Right(torch.nn.Module):
    def forward(self, x):
        return x @ weights


def int8_interpreter(model, resolver):
    with contextlib.redirect_stdout(sys.stderr):
        litert_torch.convert(model, (torch.from_numpy(samples[0]),)).export(sys.argv[1])
        quantising = quantizer.Quantizer(sys.argv[1], recipe.static_wi8_ai8())
        ranges = quantising.calibrate({"serving_default": [{"args_0": sample} for sample in samples]})
        content = bytes(quantising.quantize(ranges).quantized_model)
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter, x):
    """The output for x, both as real numbers."""
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = source["quantization"]
    interpreter.set_tensor(source["index"], np.clip(np.round(x / scale + zero), -128, 127).astype(np.int8))
    interpreter.invoke()
    scale, zero = target["quantization"]
    return scale * (interpreter.get_tensor(target["index"]).astype(float) - zero)


same = True
for model in (Left(), Right()):
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN):
        interpreter = int8_interpreter(model, resolver)
        real, integers = model(torch.from_numpy(samples[0])).numpy(), run(interpreter, samples[0])
        print(
            f"{model.__class__.__name__:5} {resolver.name:11}  float {real[0, :3].astype(float).round(1).tolist()}, "
            f"int8 {integers[0, :3].round(1).tolist()}"
        )
        close = np.linalg.norm(integers - real) < 0.1 * np.linalg.norm(real)
        same &= np.all(integers == 0) if isinstance(model, Left) else close
raise SystemExit(0 if same else 1)
PYTHON
