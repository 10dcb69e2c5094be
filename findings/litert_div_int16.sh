#!/usr/bin/env bash
# ai-edge-litert 2.3.0: DIV of int16 gives the largest number where the quotient is nearest to zero.
#
# Expected: 100 / 32,767 in steps of 1 is 0, as any quotient of less than half a step is.
# Seen: 32,767, and -32,768 for -100 / 32,767, in the reference and the default kernels alike. The quotient is a number of 32
# bits with a shift to the right; where numerator and denominator differ so much that the shift passes 31, it shifts by
# something else, and the result saturates. With a step of the output of 8 or 100 times the inputs', wrong numbers in
# between come out. Normalisations (x / sum) in 16x8 have such pairs: a small value and a large sum.
#
# Output seen (a / b for 5 pairs, all less than half a step; scale 1 on both sides, then the output's scale):
#   1: 32767 32767 32767 32767 -32768
#   8: 16385 32767 32767 32767 -32768
#   100: 1311 2864 6443 32767 -32768
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

a = np.array([[1, 2, 3, 100, -100]], np.int16)
b = np.array([[32767, 30000, 20000, 32767, 32767]], np.int16)


def division(step):
    """A file with one DIV of int16: inputs in steps of 1, the output in steps of `step`, zero points 0."""
    tensors = [schema.TensorT() for _ in "aby"]
    for tensor, text, scale in zip(tensors, (b"a", b"b", b"y"), (1.0, 1.0, step)):
        tensor.name, tensor.shape, tensor.type = text, np.array(a.shape, np.int32), schema.TensorType.INT16
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = np.array([scale], np.float32), np.zeros(1, np.int64)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DIV
    code.version = 2
    operator.inputs, operator.outputs = np.array([0, 1], np.int32), np.array([2], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.DivOptions, schema.DivOptionsT()
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs, operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


EXPECTED = {
    1: "32767 32767 32767 32767 -32768",
    8: "16385 32767 32767 32767 -32768",
    100: "1311 2864 6443 32767 -32768",
}
same = True
for step, expected in EXPECTED.items():
    assert not np.any(np.rint(a / b / step))
    for resolver in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF):
        interpreter = Interpreter(model_content=division(step), experimental_op_resolver_type=resolver)
        interpreter.allocate_tensors()
        interpreter.set_tensor(0, a)
        interpreter.set_tensor(1, b)
        interpreter.invoke()
        seen = " ".join(map(str, interpreter.get_tensor(2).ravel()))
        same &= seen == expected
    print(f"{step}: {seen}")
raise SystemExit(0 if same else 1)
PYTHON
