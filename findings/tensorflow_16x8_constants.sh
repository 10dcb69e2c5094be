#!/usr/bin/env bash
# TensorFlow 2.21, 16x8: a comparison with a constant, or a padding with one, becomes a file that LiteRT refuses to load.
#
# Expected: the converter quantises both operands of an operator, or leaves both in float32, or says that it can't.
# Seen: with int16 activations it quantises the tensor and leaves the constant beside it in float32. Conversion ends well, and
# only allocate_tensors() tells. A comparison is refused as long as 16x8 is all that may come out; with TFLITE_BUILTINS allowed,
# too, where it could stay in float32, it's the same half-quantised operator. In int8 all of that runs.
#
# Output seen (tensorflow-cpu 2.21.0, ai-edge-litert 2.3.0):
#   x > 0        int8            runs
#   x > 0        16x8            not converted: Quantization to 16x8-bit not yet supported for op: 'GREATER'.
#   x > 0        16x8 or float   converted, then comparisons.cc:59 input1->type != input2->type (INT16 != FLOAT32)
#   pad with -1  int8            runs
#   pad with -1  16x8            converted, then pad.cc:414 op_context.input->type != op_context.constant_values->type (INT16 != FLOAT32)
#   pad with -1  16x8 or float   (the same)
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

OPS = tf.lite.OpsSet
INT16 = OPS.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
MODES = {"int8": [OPS.TFLITE_BUILTINS_INT8], "16x8": [INT16], "16x8 or float": [INT16, OPS.TFLITE_BUILTINS]}
x = np.array([[-1, -0.5, 0.5, 1]], np.float32)
functions = {
    "x > 0": lambda x: tf.where(x > 0.0, x, 0.1 * x),
    "pad with -1": lambda x: tf.pad(x, ((0, 0), (0, 1)), constant_values=-1.0),
}


def outcome(function, ops):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in (x, -x, x / 2))
    converter.target_spec.supported_ops = ops
    try:
        content = converter.convert()
    except RuntimeError as error:
        return "not converted: " + str(error).strip()
    interpreter = Interpreter(model_content=content)
    try:
        interpreter.allocate_tensors()
    except RuntimeError as error:
        return "converted, then " + str(error).split("/")[-1].split("Node number")[0]
    return "runs"


seen = []
for name, function in functions.items():
    for mode, ops in MODES.items():
        seen.append(outcome(function, ops))
        print(f"{name:12} {mode:15} {seen[-1]}")
still = [seen[i] for i in (0, 3)] == ["runs"] * 2 and seen[1].startswith("not converted")
still &= all(seen[i].startswith("converted, then ") and "(INT16 != FLOAT32)" in seen[i] for i in (2, 4, 5))
raise SystemExit(0 if still else 1)
PYTHON
