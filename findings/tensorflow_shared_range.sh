#!/usr/bin/env bash
# TensorFlow 2.21, int8: a maximum clips the tensor that it reads, for all other readers, too.
#
# Expected: tf.maximum(h, c) changes nothing about h. A layer beside it that reads h sees h.
# Seen: for MAXIMUM, MINIMUM and SELECT_V2 the quantiser wants one scale for operands and result, and takes the result's range
# for all of them. Calibration has seen h from -2 to 2, but maximum(h, 0.5) is never negative: h is written with a range from 0,
# and its negative half is gone wherever else h goes (a skip connection, a second head). No message, and the float model is fine.
# RELU as the other reader does no such thing, since it may have another scale than its operand.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0), h * 0.5 for h = -2, -1, 1, 2 beside another reader of h:
#   relu(h)            [-1.0, -0.5, 0.5, 1.0]
#   maximum(h, 0.5)    [0.0, 0.0, 0.5, 1.0]
#   minimum(h, 0.5)    [-1.0, -0.5, 0.25, 0.25]
#   where(h > 0, h, 0) [0.0, 0.0, 0.5, 1.0]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check tensorflow-cpu==2.21.0 ai-edge-litert==2.3.0 numpy==2.4.6 2>/dev/null
export TF_CPP_MIN_LOG_LEVEL=3
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

x = np.array([[-1, -0.5, 0.5, 1]], np.float32)
samples = [x, x[:, ::-1].copy(), x / 2, x / 3]
weights = 2 * np.eye(4, dtype=np.float32)
readers = {
    "relu(h)": tf.nn.relu,
    "maximum(h, 0.5)": lambda h: tf.maximum(h, 0.5),
    "minimum(h, 0.5)": lambda h: tf.minimum(h, 0.5),
    "where(h > 0, h, 0)": lambda h: tf.where(h > 0.0, h, 0.0),
}


def half_beside(reader):
    """h * 0.5, in int8, of a model whose layer h has `reader` as its other reader."""

    def model(x):
        h = x @ weights
        return {"half": h * 0.5, "other": reader(h)}

    module = tf.Module()
    module.call = tf.function(model)
    concrete = module.call.get_concrete_function(tf.TensorSpec(x.shape, tf.float32, name="x"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return Interpreter(model_content=converter.convert()).get_signature_runner()(x=x)["half"]


seen = {}
for name, reader in readers.items():
    seen[name] = half_beside(reader)[0].astype(float).round(2)
    print(f"{name:18} {seen[name].tolist()}")
expected = ([-1, -0.5, 0.5, 1], [0, 0, 0.5, 1], [-1, -0.5, 0.25, 0.25], [0, 0, 0.5, 1])
raise SystemExit(0 if np.allclose(list(seen.values()), expected, atol=0.02) else 1)
PYTHON
