#!/usr/bin/env bash
# Keras 3.15.1 with TensorFlow 2.21, int8: a causal mask takes the attention away from MultiHeadAttention.
#
# Expected: masked attention loses about as much by int8 as attention without a mask, since a mask only leaves scores out.
# Seen: Keras masks by adding -1e38 to the scores before the softmax. Calibration sees that sum as it sees every tensor and gives
# it a scale of 9e35, with which all scores are the same byte: every position becomes the plain mean of itself and those before
# it, whatever query and key are. In float, and in training, nothing shows.
#
# Output seen (keras 3.15.1, tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0). Signal over int8's error, first against the model,
# then against the same model with query weights of 0, which is that plain mean; and the largest scale in the file:
#   no mask      30 dB; -5 dB; 0.3
#   causal mask   3 dB; 34 dB; 9e+35
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
packages=(keras==3.15.1 tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
export TF_CPP_MIN_LOG_LEVEL=3 KERAS_BACKEND=tensorflow
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import contextlib
import sys

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

samples = 2 * np.random.default_rng(0).normal(size=(50, 1, 6, 8)).astype(np.float32)


def attention(causal):
    """A Keras model of one layer, and the interpreter of its int8 file."""
    keras.utils.set_random_seed(0)
    x = keras.Input((6, 8), batch_size=1)
    layer = keras.layers.MultiHeadAttention(num_heads=2, key_dim=4)
    model = keras.Model(x, layer(x, x, use_causal_mask=causal))
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    with contextlib.redirect_stdout(sys.stderr):
        interpreter = Interpreter(model_content=converter.convert())
    interpreter.allocate_tensors()
    return model, interpreter


def signal_to_noise(model, interpreter):
    """In decibels, over all samples."""
    signal = noise = 0.0
    for sample in samples:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], sample)
        interpreter.invoke()
        real, integers = np.asarray(model(sample)), interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
        signal, noise = signal + np.sum(real**2), noise + np.sum((real - integers) ** 2)
    return 10 * np.log10(signal / noise)


seen = []
for name, causal in (("no mask", False), ("causal mask", True)):
    model, interpreter = attention(causal)
    largest = max(float(tensor["quantization"][0]) for tensor in interpreter.get_tensor_details())
    against_model = signal_to_noise(model, interpreter)
    (layer,) = (layer for layer in model.layers if isinstance(layer, keras.layers.MultiHeadAttention))
    query, *rest = layer.get_weights()
    layer.set_weights([0 * query, *rest])  # all scores are 0 now (biases are, too)
    against_mean = signal_to_noise(model, interpreter)
    seen.append((against_model, against_mean, largest))
    print(f"{name:11}  {against_model:2.0f} dB; {against_mean:2.0f} dB; {largest:.1g}")
(plain, plain_mean, usual), (masked, masked_mean, huge) = seen
still = plain > 25 and plain_mean < 10 and usual < 1 and masked < 10 and masked_mean > 25 and huge > 1e35
raise SystemExit(0 if still else 1)
PYTHON
