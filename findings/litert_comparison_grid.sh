#!/usr/bin/env bash
# ai-edge-litert 2.3.0: comparisons of quantised tensors can't tell values apart that differ by less than 1/256.
#
# Expected: with the same scale and zero point on both sides, a == b is the comparison of the bytes, and a > b, too: one step
# is one step, whatever a step is worth.
# Seen: int8 comparisons first multiply both sides by 256 * scale and round that to whole numbers: a grid of 1/256, absolute.
# It does no harm with scales of 1/256 and above. But in a tensor with a scale of 0.001 (values up to 0.127: differences,
# gradients, probabilities of rare classes) bytes 0 and 1 are equal, with 0.0001 at least 0 to 7 are, and `x > 0` is false for
# positive x below 1/512. EQUAL and NOT_EQUAL of int16 do the same, where such scales are the rule, since int16 has 256
# times finer ones. GREATER, LESS and their like of int16 compare the numbers as they are, so a > b and a == b both hold.
#
# Output seen (a = 0 to 7 against b = 0; the reference and the default kernels agree):
#   scale 0.001   int8  a == b 11000000   a > b 00111111   a <= b 11000000
#   scale 0.001   int16 a == b 11000000   a > b 01111111   a <= b 10000000
#   scale 0.0001  int8  a == b 11111111   a > b 00000000   a <= b 11111111
#   scale 0.0001  int16 a == b 11111111   a > b 01111111   a <= b 10000000
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

a = np.arange(8).reshape(1, 8)
b = np.zeros_like(a)
SIGNS = {"EQUAL": "==", "GREATER": ">", "LESS_EQUAL": "<="}


def comparison(name, kind, scale):
    """A file with this operator alone, both operands with the same scale and zero point 0."""
    tensors = [schema.TensorT() for _ in "aby"]
    kinds = [getattr(schema.TensorType, k) for k in (kind, kind, "BOOL")]
    for tensor, text, number in zip(tensors, (b"a", b"b", b"y"), kinds):
        tensor.name, tensor.shape, tensor.type = text, np.array(a.shape, np.int32), number
    for tensor in tensors[:2]:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([scale], np.float32), np.zeros(1, np.int64)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, name)
    code.version = 2
    operator.inputs, operator.outputs = np.array([0, 1], np.int32), np.array([2], np.int32)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs, operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def run(content, dtype, resolver):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, a.astype(dtype))
    interpreter.set_tensor(1, b.astype(dtype))
    interpreter.invoke()
    return "".join(str(int(v)) for v in interpreter.get_tensor(2).ravel())


seen = []
for scale in (0.001, 0.0001):
    for dtype in (np.int8, np.int16):
        texts = []
        for name, sign in SIGNS.items():
            content = comparison(name, dtype.__name__.upper(), scale)
            bits = {run(content, dtype, resolver) for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF)}
            texts.append(f"a {sign} b {'/'.join(sorted(bits))}")
            seen += bits
        print(f"scale {scale:<7g} {dtype.__name__:5} {'   '.join(texts)}")
expected = """11000000 00111111 11000000  11000000 01111111 10000000
              11111111 00000000 11111111  11111111 01111111 10000000"""
raise SystemExit(0 if seen == expected.split() else 1)
PYTHON
