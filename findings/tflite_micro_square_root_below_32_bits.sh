#!/usr/bin/env bash
# tflite-micro: the filter bank's square root rounds to the nearest integer, but not just below 2^32.
#
# SignalFilterBankSquareRoot takes uint64 and gives uint32. One would expect one rule for all of them: the operator
# rounds to the nearest integer, and 65536 fits its result.
# What happens (tflite-micro 0.dev20261023182759): numbers of up to 32 bits go by a function whose result has 16 bits,
# which doesn't round up beyond them. So 65,535 numbers whose roots lie between 65535.5 and 65536 give 65535, while both
# smaller and larger ones are rounded.
#
# Output seen:
#   255.501    -> 256
#   65535.500  -> 65535
#   65536.000  -> 65535
#   65536.000  -> 65536
#   65536.500  -> 65537
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check tflite-micro==0.dev20261023182759 numpy==2.0.0 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys
from importlib import import_module

import flatbuffers
import numpy as np
from flatbuffers import flexbuffers
from tflite_micro.python.tflite_micro import runtime

schema = import_module("tflite_micro.tensorflow.lite.micro.python.schema_py_generated")
INT32, UINT32, UINT64 = schema.TensorType.INT32, schema.TensorType.UINT32, schema.TensorType.UINT64


def interpreter(code, inputs, outputs, options=()):
    """Of a model that is one signal operator; tensors are (shape, type)."""
    graph = schema.SubGraphT()
    graph.tensors = []
    for shape, kind in (*inputs, *outputs):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = list(shape), kind, 0
        graph.tensors.append(tensor)
    graph.inputs = list(range(len(inputs)))
    graph.outputs = list(range(len(inputs), len(graph.tensors)))
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = graph.inputs, graph.outputs
    builder = flexbuffers.Builder()
    with builder.Map():
        for key, value in options:
            builder.Int(key, value)
    operator.customOptions = list(builder.Finish())
    graph.operators = [operator]
    known = schema.OperatorCodeT()
    known.builtinCode = known.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    known.customCode = code
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [known], [graph], [schema.BufferT()]
    packer = flatbuffers.Builder()
    packer.Finish(model.Pack(packer), b"TFL3")
    return runtime.Interpreter.from_bytes(bytes(packer.Output()))


values = [255**2 + 256, 65535**2 + 65536, 2**32 - 1, 2**32, 2**32 + 65537]
shape = (len(values),)
asked = interpreter("SignalFilterBankSquareRoot", [(shape, UINT64), ((), INT32)], [(shape, UINT32)])
asked.set_input(np.array(values, np.uint64), 0)
asked.set_input(np.array(0, np.int32), 1)  # by how much the frame was shifted
asked.invoke()
roots = asked.get_output(0).tolist()
for value, root in zip(values, roots, strict=True):
    print(f"{value**0.5:<10.3f} -> {root}")
sys.exit(roots != [256, 65535, 65535, 65536, 65537])
PYTHON
