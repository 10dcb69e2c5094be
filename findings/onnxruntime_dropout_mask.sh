#!/usr/bin/env bash
# onnxruntime 1.31.1: Dropout's second result, the mask, is all false in models of opsets 7 to 11 and all true from 12 on.
#
# Expected: while nothing is dropped, the mask says that everything was kept; the operator's meaning in inference didn't change.
# Seen: the same node, the same input, output equal to the input each time: in opset 7, 10 and 11 the mask is all 0 ("all
# dropped"), from 12 on all true. Whoever multiplies by the mask gets zeros from the older file, and raising the opset of a file,
# with nothing else changed, changes its result.
#
# Output seen:
#   opset 7: output [1.0, 1.0] mask [0.0, 0.0]
#   opset 11: output [1.0, 1.0] mask [False, False]
#   opset 12: output [1.0, 1.0] mask [True, True]
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper

x, seen = np.ones(2, np.float32), []
for opset in (7, 11, 12):
    types = (TensorProto.FLOAT, TensorProto.FLOAT, TensorProto.BOOL if opset >= 10 else TensorProto.FLOAT)
    values = [helper.make_tensor_value_info(name, kind, [2]) for name, kind in zip("xym", types)]
    graph = helper.make_graph([helper.make_node("Dropout", ["x"], ["y", "m"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    output, mask = session.run(None, {"x": x})
    print(f"opset {opset}: output {output.tolist()} mask {mask.tolist()}")
    seen += [np.array_equal(output, x), bool(mask.any()), bool(mask.all())]
raise SystemExit(0 if seen == [True, False, False, True, False, False, True, True, True] else 1)
PYTHON
