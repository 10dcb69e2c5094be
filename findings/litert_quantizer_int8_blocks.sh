#!/usr/bin/env bash
# litert-quantizer 0.11.0: the recipes for int8 weights in blocks quantise nothing.
#
# Expected: recipe.dynamic_wi8b32_afp32 and dynamic_wi8b64_afp32 give int8 weights with a scale for each 32 or 64 of a row, as
# their int4 and int2 counterparts do for theirs; or the quantiser refuses.
# Seen: the README's table of what is supported has no int8 in blocks, but the library offers recipes of these names, and
# quantize() takes them without a warning. It returns the model in float32, of the size that it had.
#
# Output seen (a FULLY_CONNECTED of 64 to 64; type of the weights in the quantised file and its size beside the original's):
#   dynamic_wi8c_afp32    INT8     32 %
#   dynamic_wi8b32_afp32  FLOAT32 100 %
#   dynamic_wi8b64_afp32  FLOAT32 100 %
#   dynamic_wi4b32_afp32  INT4     17 %
#   dynamic_wi2b32_afp32  INT2     11 %
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
from litert_quantizer import quantizer, recipe

w = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
EXPECTED = {"wi8c": "INT8", "wi8b32": "FLOAT32", "wi8b64": "FLOAT32", "wi4b32": "INT4", "wi2b32": "INT2"}
TYPES = {number: name for name, number in vars(schema.TensorType).items() if isinstance(number, int)}


def dense():
    """A float FULLY_CONNECTED with the weights `w`."""
    tensors, buffers = [schema.TensorT() for _ in range(3)], [schema.BufferT(), schema.BufferT()]
    for tensor, name, shape in zip(tensors, (b"x", b"w", b"y"), ((1, 64), w.shape, (1, 64))):
        tensor.name, tensor.shape, tensor.type = name, np.array(shape, np.int32), schema.TensorType.FLOAT32
    tensors[1].buffer, buffers[1].data = 1, np.frombuffer(w.tobytes(), np.uint8)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 1
    operator.inputs, operator.outputs = np.array([0, 1, -1], np.int32), np.array([2], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs[:1], operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


original = dense()
with open(sys.argv[1], "wb") as file:
    file.write(original)
seen = {}
for kind in EXPECTED:
    name = f"dynamic_{kind}_afp32"
    with contextlib.redirect_stdout(sys.stderr):  # the quantiser's statistics
        content = bytes(quantizer.Quantizer(sys.argv[1], getattr(recipe, name)()).quantize(None).quantized_model)
    graph = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)).subgraphs[0]
    (weights,) = (tensor for tensor in graph.tensors if tensor.name == b"w")
    seen[kind] = TYPES[weights.type]
    print(f"{name:21} {seen[kind]:7} {len(content) / len(original):4.0%}".replace("%", " %"))
raise SystemExit(0 if seen == EXPECTED else 1)
PYTHON
