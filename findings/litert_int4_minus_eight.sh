#!/usr/bin/env bash
# ai-edge-litert 2.3.0: the default FULLY_CONNECTED takes the int4 weight -8 for +8.
#
# Expected: int4 weights are -8 to 7, and the product of x with a row of weights is the same from all of LiteRT's kernels, up to
# the int8 rounding of x.
# Seen, on x86-64 without the XNNPACK delegate (BUILTIN_WITHOUT_DEFAULT_DELEGATES, which is also what a graph gets where the
# delegate doesn't take it): a row of -8 gives the sum with the opposite sign; -7 and 7 are right. The reference kernel and
# XNNPACK get all three right, and so does the same kernel with 8 inputs.
# Such files exist: litert-quantizer 0.11.0 uses the whole range below 8 bits, and its dynamic_wi4c_hr_afp32 writes -8s.
# In a random layer of 64 inputs the rows that had one, and only those, came out wrong: -2.3 for -7.2.
#
# Output seen (x of 32 ones, four equal rows of one weight each):
#   weights -8: BUILTIN_REF -256, BUILTIN_WITHOUT_DEFAULT_DELEGATES 256, AUTO -256
#   weights -7: BUILTIN_REF -224, BUILTIN_WITHOUT_DEFAULT_DELEGATES -224, AUTO -224
#   weights  7: BUILTIN_REF 224, BUILTIN_WITHOUT_DEFAULT_DELEGATES 224, AUTO 224
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check ai-edge-litert==2.3.0 flatbuffers==25.12.19 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter, OpResolverType

INPUTS, OUTPUTS = 32, 4
KERNELS = (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES, OpResolverType.AUTO)


def dense(weight):
    """A FULLY_CONNECTED of float32 with int4 weights, all of them `weight`, and scales of 1."""
    shapes, kind = ((1, INPUTS), (OUTPUTS, INPUTS), (1, OUTPUTS)), schema.TensorType
    tensors = [schema.TensorT() for _ in shapes]
    for tensor, shape, name, number in zip(tensors, shapes, (b"x", b"w", b"y"), (kind.FLOAT32, kind.INT4, kind.FLOAT32)):
        tensor.shape, tensor.name, tensor.type = np.array(shape, np.int32), name, number
    scales, buffer = schema.QuantizationParametersT(), schema.BufferT()
    scales.scale, scales.zeroPoint = np.ones(OUTPUTS, np.float32), np.zeros(OUTPUTS, np.int64)
    buffer.data = np.full(OUTPUTS * INPUTS // 2, (weight & 15) * 17, np.uint8)  # two weights a byte
    tensors[1].quantization, tensors[1].buffer = scales, 1
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 9
    operator.inputs, operator.outputs = np.array([0, 1, -1], np.int32), np.array([2], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs[:1], operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT(), buffer]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content, resolver):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((1, INPUTS), np.float32))
    interpreter.invoke()
    (value,) = set(np.round(interpreter.get_tensor(2), 2).ravel().tolist())
    return value


still = True
for weight in (-8, -7, 7):
    values = [run(dense(weight), resolver) for resolver in KERNELS]
    print(f"weights {weight:2}:", ", ".join(f"{r.name} {v:g}" for r, v in zip(KERNELS, values)))
    exact = weight * INPUTS
    still &= values == [exact, -exact if weight == -8 else exact, exact]
raise SystemExit(0 if still else 1)
PYTHON
