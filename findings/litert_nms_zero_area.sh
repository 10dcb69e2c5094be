#!/usr/bin/env bash
# ai-edge-litert 2.3.0: NON_MAX_SUPPRESSION_V4 and _V5 select a box without area again and again.
#
# Expected: each box is selected at most once, so three boxes that don't overlap give 0, 1, 2 by falling scores. TensorFlow's
# operators of the same names give that, whatever the boxes' areas.
# Seen: a selected box stays among the candidates and is only left out, the next time round, because it overlaps with itself
# entirely. A box of no height or no width overlaps with nothing, itself included: it wins every further round, fills all
# results that are left, and hides all boxes below it. Detectors that clip boxes to the image make such boxes at its
# edges.
#
# Output seen (scores 0.9, 0.8, 0.7; the reference and the default kernels agree):
#   V4  all have an area      [0, 1, 2]
#   V4  the first has none    [0, 0, 0]
#   V4  the second has none   [0, 1, 1]
#   V5  all have an area      [0, 1, 2]
#   V5  the first has none    [0, 0, 0]
#   V5  the second has none   [0, 1, 1]
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

BOXES = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], np.float32)
SCORES = np.array([0.9, 0.8, 0.7], np.float32)
CONSTANTS = [np.int32(3), np.float32(0.5), np.float32(0), np.float32(0)]  # boxes wanted, two thresholds, V5: sigma of soft NMS


def suppression(version):
    """A file with this operator alone: boxes and scores in; indices, V5: scores, and the number of them out."""
    kinds = {np.dtype(np.int32): schema.TensorType.INT32, np.dtype(np.float32): schema.TensorType.FLOAT32}
    constants = CONSTANTS[: version - 1]
    results = [np.zeros(3, np.int32), np.zeros(3, np.float32), np.int32(0)]
    if version == 4:
        del results[1]
    values = [BOXES, SCORES, *constants, *results]
    tensors, buffers = [], [schema.BufferT()]
    for index, value in enumerate(values):
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type = b"t%d" % index, np.array(value.shape, np.int32), kinds[value.dtype]
        if 2 <= index < 2 + len(constants):
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(value.tobytes(), np.uint8)
            tensor.buffer = len(buffers)
            buffers.append(buffer)
        tensors.append(tensor)
    operator, code = schema.OperatorT(), schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = getattr(schema.BuiltinOperator, f"NON_MAX_SUPPRESSION_V{version}")
    code.version = 1
    operator.inputs = np.arange(2 + len(constants), dtype=np.int32)
    operator.outputs = np.arange(2 + len(constants), len(values), dtype=np.int32)
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, [operator], operator.inputs[:2], operator.outputs
    model.version, model.operatorCodes, model.subgraphs, model.buffers = 3, [code], [graph], buffers
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def selected(content, boxes, resolver):
    interpreter = Interpreter(model_content=content, experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, boxes)
    interpreter.set_tensor(1, SCORES)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).tolist()


CASES = ("all have an area", None, [0, 1, 2]), ("the first has none", 0, [0] * 3), ("the second has none", 1, [0, 1, 1])
still = True
for version in (4, 5):
    for text, flat, expected in CASES:
        boxes = BOXES.copy()
        if flat is not None:
            boxes[flat, 2] = boxes[flat, 0]  # no height
        both = [selected(suppression(version), boxes, r) for r in (OpResolverType.BUILTIN, OpResolverType.BUILTIN_REF)]
        print(f"V{version}  {text:20}  {both[0]}")
        still &= both == [expected] * 2
raise SystemExit(0 if still else 1)
PYTHON
