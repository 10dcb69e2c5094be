#!/usr/bin/env bash
# tflite-micro 0.dev20261023182759: DEQUANTIZE of a tensor with a scale for each channel takes the first for all of them.
#
# Expected: value = scale[channel] * byte, which ai-edge-litert 2.3.0 computes with both sets of kernels, or a refusal when
# tensors are allocated: other operators of the same runtime check how many scales a tensor has.
# Seen: the interpreter allocates and runs, and every channel is multiplied by scale[0]. Weight-only quantisation makes such
# files: litert-quantizer's weight_only_wi8_afp32 puts a DEQUANTIZE between int8 weights with a scale for each output and
# their FULLY_CONNECTED. There output 0 is right and all others are off by scale[0] / scale[channel].
#
# Output seen (byte 10 in each of three channels, scales 0.5, 1 and 2):
#   LiteRT BUILTIN      [5.0, 10.0, 20.0]
#   LiteRT BUILTIN_REF  [5.0, 10.0, 20.0]
#   tflite-micro        [5.0, 5.0, 5.0]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"  # Python 3.10 to 3.12: there are no other wheels of tflite-micro
packages=(tflite-micro==0.dev20261023182759 ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6)
"$folder/venv/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType
from tflite_micro.python.tflite_micro import runtime

SHAPE, SCALES = (1, 3), (0.5, 1, 2)


def dequantize():
    """A file with this operator alone, from int8 to float32."""
    scales = schema.QuantizationParametersT()
    scales.scale, scales.zeroPoint = np.array(SCALES, np.float32), np.zeros(3, np.int64)
    scales.quantizedDimension = 1
    tensors = [schema.TensorT(), schema.TensorT()]
    for tensor, name, kind in zip(tensors, (b"x", b"y"), (schema.TensorType.INT8, schema.TensorType.FLOAT32)):
        tensor.name, tensor.shape, tensor.type = name, np.array(SHAPE, np.int32), kind
    tensors[0].quantization = scales
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 5  # the version that has a scale for each channel
    operator.inputs, operator.outputs = np.array([0], np.int32), np.array([1], np.int32)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs, operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


content, x = dequantize(), np.full(SHAPE, 10, np.int8)
seen = {}
for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, x)
    interpreter.invoke()
    seen[f"LiteRT {resolver.name}"] = interpreter.get_tensor(1).ravel().tolist()
micro = runtime.Interpreter.from_bytes(content)
micro.set_input(x, 0)
micro.invoke()
seen["tflite-micro"] = micro.get_output(0).ravel().tolist()
for name, values in seen.items():
    print(f"{name:19} {values}")
raise SystemExit(0 if list(seen.values()) == [[5, 10, 20], [5, 10, 20], [5, 5, 5]] else 1)
PYTHON
