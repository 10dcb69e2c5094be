#!/usr/bin/env bash
# TensorFlow 2.21, int8: ONE_HOT copies bytes between tensors of different scales, so the zeros of a one-hot vector aren't 0.
#
# Expected: tf.one_hot(...) of a quantised model is 0 and 1, within a step. The kernel copies the bytes of its on and off
# values, so these two and the output must have one scale, as the quantiser sees to with other operators that copy.
# Seen: the quantiser treats the two constants and the output as three tensors like all others. Each gets a scale of its own.
# The off value's is 4e-9 with zero point 0, so 0 is the byte 0; the output's is 1/255 with zero point -128, and there the
# byte 0 is 0.5. A mask made of it lets half of everything through.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0), one_hot(argmax(x)) * x:
#   x [0.5, 0.75, 1.0, 0.25]: float [0.0, 0.0, 1.0, 0.0], int8 [0.25, 0.38, 1.0, 0.13]
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

x = np.array([[0.5, 0.75, 1, 0.25]], np.float32)
samples = [x, x / 2, x[:, ::-1].copy()]


@tf.function
def largest(x):
    return tf.one_hot(tf.argmax(x, -1), 4) * x


concrete = largest.get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([sample] for sample in samples)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
interpreter = Interpreter(model_content=converter.convert())
interpreter.allocate_tensors()
interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
interpreter.invoke()
real, integers = largest(x).numpy(), interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
print(f"x {x[0].tolist()}: float {real[0].tolist()}, int8 {integers[0].astype(float).round(2).tolist()}")
still = real[0].tolist() == [0, 0, 1, 0] and np.allclose(integers[0], [0.25, 0.375, 1, 0.125], atol=0.02)
raise SystemExit(0 if still else 1)
PYTHON
