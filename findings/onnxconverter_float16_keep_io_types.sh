#!/usr/bin/env bash
# onnxconverter-common 1.16.0: float16 conversion with keep_io_types=True: outputs that aren't float32, and files that don't load.
#
# Expected: convert_float_to_float16(model, keep_io_types=True) has float16 inside and float32 at its inputs and outputs, and loads.
# Seen: 1. Operators of its block list (Resize, TopK, Min, Max ...) stay in float32 between two Casts. Where such a one makes the output,
#          that is float16 all the same, declaration included: whoever reads float32, as asked for, gets other numbers.
#       2. Cast to float32 in the middle of the model keeps its `to` while its result is declared float16: refused.
#       3. Nodes without names (ONNX doesn't ask for any) get Casts with names and results after their own: an input that two of them
#          read is cast twice under one name: refused. A residual connection from the input is enough.
#       The conversion itself says nothing in any of them.
#
# Output seen (onnxruntime 1.31.1):
#   Relu                          declared FLOAT, returned float32
#   Resize                        declared FLOAT16, returned float16
#   Cast to int32 and back        refused: Type Error
#   x + sqrt(x), no names         refused: two nodes with same node name
#   x + sqrt(x), names            declared FLOAT, returned float32
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    onnxconverter-common==1.16.0 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import re

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnxconverter_common import float16

onnxruntime.set_default_logger_severity(4)
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32


def outcome(title, *nodes):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", FLOAT, [1, 1, 2, 2])],
        [helper.make_tensor_value_info("y", FLOAT, [1, 1, 2, 2])],
        [numpy_helper.from_array(np.ones(4, np.float32), "scales")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    checker.check_model(model, full_check=True)
    onnxruntime.InferenceSession(model.SerializeToString())
    half = float16.convert_float_to_float16(model, keep_io_types=True)
    declared = TensorProto.DataType.Name(half.graph.output[0].type.tensor_type.elem_type)
    try:
        session = onnxruntime.InferenceSession(half.SerializeToString())
        found = f"declared {declared}, returned {session.run(None, {'x': np.ones((1, 1, 2, 2), np.float32)})[0].dtype}"
    except Exception as error:
        found = "refused: " + re.search("Type Error|two nodes with same node name|$", str(error)).group()
    print(f"{title:29} {found}")
    return found


node = helper.make_node
found = [
    outcome("Relu", node("Relu", ["x"], ["y"])),
    outcome("Resize", node("Resize", ["x", "", "scales"], ["y"])),
    outcome(
        "Cast to int32 and back",
        node("Cast", ["x"], ["i"], to=INT32),
        node("Cast", ["i"], ["f"], to=FLOAT),
        node("Relu", ["f"], ["y"]),
    ),
    outcome("x + sqrt(x), no names", node("Sqrt", ["x"], ["r"]), node("Add", ["x", "r"], ["y"])),
    outcome("x + sqrt(x), names", node("Sqrt", ["x"], ["r"], name="a"), node("Add", ["x", "r"], ["y"], name="b")),
]
kept = "declared FLOAT, returned float32"
wanted = [kept, "declared FLOAT16, returned float16", "refused: Type Error", "refused: two nodes with same node name", kept]
raise SystemExit(0 if found == wanted else 1)
PYTHON
