#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: LpPool makes up elements beyond the tensor, and outputs for dilated windows that don't fit.
#
# Expected: a norm of what is in the window (ONNX), so that of the last two ones of eight, in a window of 3 with ceil_mode, the sum is 2. A dilated
# window needs (kernel - 1) * dilation + 1 elements: of 8 there are four for 3 with a dilation of 2. onnxruntime 1.31.1 computes both, and
# onnx's shape inference says so of the shape.
# Seen: the evaluator averages and multiplies by the kernel's size, though the average is over fewer elements at the end: 3 of two ones. And with
# auto_pad VALID it counts windows without the dilation: six, the last two of which are 0. (With pads it counts as it should.)
#
# Output seen (evaluator; onnxruntime; eight ones, window of 3, p = 1):
#   stride 2               3 3 3            3 3 3
#   stride 2, ceil_mode    3 3 3 3          3 3 3 2
#   dilation 2, VALID      3 3 3 3 0 0      3 3 3 3
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

X = np.ones((1, 1, 8), np.float32)
found = []
for name, outputs, attributes in (
    ("stride 2", 3, {"strides": [2]}),
    ("stride 2, ceil_mode", 4, {"strides": [2], "ceil_mode": 1}),
    ("dilation 2, VALID", 4, {"dilations": [2], "auto_pad": "VALID"}),
):
    graph = helper.make_graph(
        [helper.make_node("LpPool", ["x"], ["y"], p=1, kernel_shape=[3], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, outputs])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    checker.check_model(model, full_check=True)
    runs = ReferenceEvaluator(model).run, onnxruntime.InferenceSession(model.SerializeToString()).run
    found.append([" ".join(f"{value:g}" for value in run(None, {"x": X})[0].ravel()) for run in runs])
    print(f"{name:22} {found[-1][0]:16} {found[-1][1]}")
raise SystemExit(found != [["3 3 3", "3 3 3"], ["3 3 3 3", "3 3 3 2"], ["3 3 3 3 0 0", "3 3 3 3"]])
PYTHON
