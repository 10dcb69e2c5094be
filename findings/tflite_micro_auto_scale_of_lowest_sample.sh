#!/usr/bin/env bash
# tflite-micro: the scaling in front of a transform takes a frame with the lowest int16 for a quiet one.
#
# SignalFftAutoScale shifts a frame's samples up as far as the largest magnitude among them allows, and tells the
# transform's user by how much. One would expect a frame that has -32768 to stay as it is: it is as loud as can be.
# What happens (tflite-micro 0.dev20261023182759): behind a sample of -32768 the search for the largest magnitude begins
# anew, so that only what follows counts. Samples that are too large for the shift, -32768 among them, wrap around: the
# loudest one becomes 0, without an error. -32767 at the same place does what one expects, and so does -32768 with
# nothing louder than full scale behind it, or at the frame's end.
#
# Output seen:
#   [-32767, 100, 0] -> [-32767, 100, 0], shifted by 0
#   [-32768, 100, 0] -> [0, 25600, 0], shifted by 8
#   [100, -32768] -> [100, -32768], shifted by 0
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
INT16, INT32 = schema.TensorType.INT16, schema.TensorType.INT32


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


def scaled(samples):
    asked = interpreter("SignalFftAutoScale", [((len(samples),), INT16)], [((len(samples),), INT16), ((), INT32)])
    asked.set_input(np.array(samples, np.int16), 0)
    asked.invoke()
    return asked.get_output(0).tolist(), int(asked.get_output(1))


seen = []
for samples in ([-32767, 100, 0], [-32768, 100, 0], [100, -32768]):
    seen.append(scaled(samples))
    print(f"{samples} -> {seen[-1][0]}, shifted by {seen[-1][1]}")
sys.exit(seen != [([-32767, 100, 0], 0), ([0, 25600, 0], 8), ([100, -32768], 0)])
PYTHON
