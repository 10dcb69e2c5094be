#!/usr/bin/env bash
# ai-edge-litert 2.3.0: SCATTER_ND of int8 fills with the byte 0, which isn't the value 0.
#
# Expected: what no index names is 0. In a quantised tensor the value 0 is the byte `zero_point`, and TensorFlow's converter
# gives SCATTER_ND's output a scale and a zero point as it does with every int8 tensor.
# Seen: LiteRT writes the byte 0 there, with the reference and the default kernels alike. With a zero point of -128, which is
# what a tensor without negative values has, the gaps are half of the tensor's range. tf.tensor_scatter_nd_update becomes
# x * (1 - scatter(ones)) + scatter(values), so it changes rows that it should leave alone, and by more than they hold.
#
# Output seen, with files from tensorflow-cpu 2.21.0:
#   scatter  BUILTIN_REF  a row that isn't written: float [0.0, 0.0], int8 [0.5, 0.5]
#   scatter  BUILTIN      a row that isn't written: float [0.0, 0.0], int8 [0.5, 0.5]
#   update   BUILTIN_REF  a row that isn't written: float [1.0, 1.0], int8 [5.01, 5.01]
#   update   BUILTIN      a row that isn't written: float [1.0, 1.0], int8 [5.01, 5.01]
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
from ai_edge_litert.interpreter import Interpreter, OpResolverType

samples = np.linspace(0, 1, 40, dtype=np.float32).reshape(10, 2, 2)
x = np.full((2, 2), 0.5, np.float32)


def scatter(x):
    return tf.scatter_nd([[0], [2]], x, (3, 2))


def update(x):
    return tf.tensor_scatter_nd_update(x * 2.0, [[0]], [[9.0, 9.0]])


def int8_model(function):
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(x.shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete])
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([sample] for sample in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def run(model, resolver):
    interpreter = Interpreter(model_content=model, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


same = True
for function, wanted, wrong in ((scatter, 0.0, 0.5), (update, 1.0, 5.01)):
    model = int8_model(function)
    for resolver in (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN):
        real, integers = function(x).numpy(), run(model, resolver)
        print(
            f"{function.__name__:8} {resolver.name:12} a row that isn't written: "
            f"float {real[1].tolist()}, int8 {integers[1].astype(float).round(2).tolist()}"
        )
        same &= np.all(real[1] == wanted) and np.allclose(integers[1], wrong, atol=0.02)
        same &= np.allclose(integers[0], real[0], atol=0.02)  # the row that is written is right
raise SystemExit(0 if same else 1)
PYTHON
