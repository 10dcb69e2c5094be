#!/usr/bin/env bash
# tflite 2.18.0: OperatorCode.BuiltinCode() isn't the field builtin_code.
#
# An operator's number has two fields in the schema: deprecated_builtin_code (one byte, files older than the 128th
# operator have only that) and builtin_code. A runtime takes the larger of the two. One would expect the generated
# accessor BuiltinCode() to return the stored builtin_code, as the accessors of all other fields do and as the one in
# ai-edge-litert's own copy of the generated code does.
#
# What happens: for every number below 127 BuiltinCode() returns the *deprecated* byte. A file that has the number only
# in builtin_code (litert-quantizer writes the operators that it inserts so) is read as operator 0, which is ADD:
# max(BuiltinCode(), DeprecatedBuiltinCode()) can't help. LiteRT runs the same file as the MUL that it is.
#
# Seen with tflite 2.18.0, flatbuffers 25.12.19, ai-edge-litert 2.3.0 on Python 3.11:
#   tflite: 0 0; field: 18; ai-edge-litert's accessor: 18; LiteRT computes [[6. 6.]]
# where 3 * 2 = 6 is the product and 3 + 2 = 5 would be the sum.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check tflite==2.18.0 flatbuffers==25.12.19 ai-edge-litert==2.3.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import flatbuffers
import numpy as np
import tflite
from ai_edge_litert import schema_py_generated as own
from ai_edge_litert.interpreter import Interpreter

MUL = tflite.BuiltinOperator.MUL
b = flatbuffers.Builder(1024)


def vector(items):
    b.StartVector(4, len(items), 4)
    for item in reversed(items):
        b.PrependUOffsetTRelative(item)
    return b.EndVector()


def tensor(name):
    text, shape = b.CreateString(name), b.CreateNumpyVector(np.array([1, 2], np.int32))
    tflite.TensorStart(b)
    tflite.TensorAddShape(b, shape)
    tflite.TensorAddType(b, tflite.TensorType.FLOAT32)
    tflite.TensorAddName(b, text)
    return tflite.TensorEnd(b)


tensors = vector([tensor(name) for name in "xyz"])
ins, outs = b.CreateNumpyVector(np.array([0, 1], np.int32)), b.CreateNumpyVector(np.array([2], np.int32))
tflite.MulOptionsStart(b)
options = tflite.MulOptionsEnd(b)
tflite.OperatorStart(b)
tflite.OperatorAddInputs(b, ins)
tflite.OperatorAddOutputs(b, outs)
tflite.OperatorAddBuiltinOptionsType(b, tflite.BuiltinOptions.MulOptions)
tflite.OperatorAddBuiltinOptions(b, options)
operators = vector([tflite.OperatorEnd(b)])
tflite.SubGraphStart(b)
tflite.SubGraphAddTensors(b, tensors)
tflite.SubGraphAddInputs(b, ins)
tflite.SubGraphAddOutputs(b, outs)
tflite.SubGraphAddOperators(b, operators)
graphs = vector([tflite.SubGraphEnd(b)])
tflite.OperatorCodeStart(b)
tflite.OperatorCodeAddBuiltinCode(b, MUL)  # the newer field alone
tflite.OperatorCodeAddVersion(b, 1)
codes = vector([tflite.OperatorCodeEnd(b)])
tflite.BufferStart(b)
buffers = vector([tflite.BufferEnd(b)])
tflite.ModelStart(b)
tflite.ModelAddVersion(b, 3)
tflite.ModelAddOperatorCodes(b, codes)
tflite.ModelAddSubgraphs(b, graphs)
tflite.ModelAddBuffers(b, buffers)
b.Finish(tflite.ModelEnd(b), b"TFL3")
model = bytes(b.Output())

code = tflite.Model.GetRootAsModel(model, 0).OperatorCodes(0)
theirs = own.Model.GetRootAs(model, 0).OperatorCodes(0).BuiltinCode()
table = code._tab
field = table.Get(flatbuffers.number_types.Int32Flags, table.Pos + table.Offset(10))
interpreter = Interpreter(model_content=model)
interpreter.allocate_tensors()
for index, value in enumerate((3, 2)):
    interpreter.set_tensor(index, np.full((1, 2), value, np.float32))
interpreter.invoke()
result = interpreter.get_tensor(2)
print(
    f"tflite: {code.BuiltinCode()} {code.DeprecatedBuiltinCode()}; field: {field}; "
    f"ai-edge-litert's accessor: {theirs}; LiteRT computes {result}"
)
still = code.BuiltinCode() == 0 and code.DeprecatedBuiltinCode() == 0 and field == theirs == MUL and np.all(result == 6)
raise SystemExit(0 if still else 1)
PYTHON
