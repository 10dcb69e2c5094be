#!/usr/bin/env bash
# tflite-micro: its model editor, and so its compression tool, makes one operator of all in a file older than TensorFlow
# 2.4.
#
# One would expect a file that is read and written again to compute what it did. Older converters wrote only the field
# `deprecated_builtin_code`, and the interpreter of the same wheel runs such files.
# What happens (tflite-micro 0.dev20261023182759): the editor collects operator codes by `builtin_code`, which is 0 in
# all of these, so that they become one; the last one stays. Here RELU becomes LOGISTIC without a word. Larger models
# fail to load afterwards, since operators get the wrong number of operands.
#
# Output seen:
#   written by          operators           result for -1, 0, 1, 2
#   schema              RELU, LOGISTIC      0.500 0.500 0.731 0.881
#   editor, unchanged   LOGISTIC, LOGISTIC  0.567 0.622 0.675 0.707
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
from tflite_micro.python.tflite_micro import runtime

MICRO = "tflite_micro.tensorflow.lite.micro"
editor = import_module(f"{MICRO}.compression.model_editor")
schema = import_module(f"{MICRO}.python.schema_py_generated")
NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)}
FED = np.array([[-1, 0, 1, 2]], np.float32)


def old_file():
    """RELU and LOGISTIC in a row, of float32, as converters of 2020 wrote their codes."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs, model.buffers = 3, [graph], [schema.BufferT()]
    graph.tensors, graph.operators, graph.inputs, graph.outputs = [], [], [0], [2]
    for _ in range(3):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [1, 4], schema.TensorType.FLOAT32, 0
        graph.tensors.append(tensor)
    model.operatorCodes = []
    for number, code in enumerate((schema.BuiltinOperator.RELU, schema.BuiltinOperator.LOGISTIC)):
        kind, operator = schema.OperatorCodeT(), schema.OperatorT()
        kind.deprecatedBuiltinCode, kind.version = code, 1
        operator.opcodeIndex, operator.inputs, operator.outputs = number, [number], [number + 1]
        model.operatorCodes.append(kind)
        graph.operators.append(operator)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kinds(content):
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return [NAMES[codes[operator.opcodeIndex]] for operator in model.subgraphs[0].operators]


def run(content):
    interpreter = runtime.Interpreter.from_bytes(content)
    interpreter.set_input(FED, 0)
    interpreter.invoke()
    return interpreter.get_output(0)[0]


old = old_file()
again = bytes(editor.read(old).build())
print("written by          operators           result for -1, 0, 1, 2")
for label, content in (("schema", old), ("editor, unchanged", again)):
    print(f"{label:20}{', '.join(kinds(content)):20}{' '.join(f'{value:.3f}' for value in run(content))}")
sys.exit((kinds(old), kinds(again)) != (["RELU", "LOGISTIC"], ["LOGISTIC"] * 2))
PYTHON
