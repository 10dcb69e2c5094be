#!/usr/bin/env bash
# ai-edge-litert 2.3.0: FULLY_CONNECTED with blockwise weights (a scale for each 32 of a row) is its bias alone.
#
# Expected: a file that litert-quantizer writes is x @ w + bias, within the error of its weights, from each set of kernels that
# loads it; a kernel that can't apply scales of blocks refuses the file.
# Seen: such weights have their scales in a tensor of its own and none in the usual place. The reference kernel looks there,
# finds no scale, and multiplies the whole product by 0 without a message. With int4 the other kernels are right. With int2,
# for which litert-quantizer has a recipe, too, the kernels without XNNPACK also give the bias, and XNNPACK refuses the
# file: there is no way to run it.
#
# Output seen (litert-quantizer 0.11.0, 64 inputs, 4 outputs, bias 1, 2, 3, 4):
#   float                                     [-8.7, -5.0, 1.0, -3.4]
#   int4  BUILTIN_REF                         [1.0, 2.0, 3.0, 4.0]
#   int4  BUILTIN_WITHOUT_DEFAULT_DELEGATES   [-9.0, -4.7, -0.3, -4.2]
#   int4  AUTO                                [-9.0, -4.7, -0.3, -4.2]
#   int2  BUILTIN_REF                         [1.0, 2.0, 3.0, 4.0]
#   int2  BUILTIN_WITHOUT_DEFAULT_DELEGATES   [1.0, 2.0, 3.0, 4.0]
#   int2  AUTO                                refused
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
packages=(litert-quantizer==0.11.0 ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$folder/venv/bin/python" - "$folder/dense.tflite" 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import contextlib
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from litert_quantizer import quantizer, recipe

INPUTS, OUTPUTS = 64, 4
KERNELS = (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO)
random = np.random.default_rng(0)
x, w = random.normal(size=(1, INPUTS)).astype(np.float32), random.normal(size=(OUTPUTS, INPUTS)).astype(np.float32)
bias = np.arange(1, OUTPUTS + 1, dtype=np.float32)


def dense():
    """A float FULLY_CONNECTED of `w` and `bias`."""
    tensors, buffers = [], [schema.BufferT()]
    for name, shape, value in ((b"x", x.shape, None), (b"w", w.shape, w), (b"b", bias.shape, bias), (b"y", (1, OUTPUTS), None)):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = name, np.array(shape, np.int32), schema.TensorType.FLOAT32
        if value is not None:
            tensor.buffer = len(buffers)
            buffers.append(schema.BufferT())
            buffers[-1].data = np.frombuffer(value.tobytes(), np.uint8)
        tensors.append(tensor)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    operator.inputs, operator.outputs = np.array([0, 1, 2], np.int32), np.array([3], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs[:1], operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content, resolver):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel()


def text(values):
    return "[" + ", ".join(f"{v:.1f}" for v in values) + "]"


with open(sys.argv[1], "wb") as file:
    file.write(dense())
exact, still = (x @ w.T + bias).ravel(), True
print(f"{'float':40} ", text(exact))
for kind, name in (("int4", "dynamic_wi4b32_afp32"), ("int2", "dynamic_wi2b32_afp32")):
    with contextlib.redirect_stdout(sys.stderr):  # the quantiser's statistics
        content = bytes(quantizer.Quantizer(sys.argv[1], getattr(recipe, name)()).quantize(None).quantized_model)
    for resolver in KERNELS:
        try:
            y = run(content, resolver)
        except RuntimeError:
            y = None
        print(f"{kind}  {resolver.name:34} ", "refused" if y is None else text(y))
        if kind == "int2" and resolver == OpResolverType.AUTO:
            still &= y is None
        elif kind == "int2" or resolver == OpResolverType.BUILTIN_REF:
            still &= y is not None and np.array_equal(y, bias)
        else:
            still &= y is not None and bool(np.abs(y - exact).max() < 2)
raise SystemExit(0 if still else 1)
PYTHON
