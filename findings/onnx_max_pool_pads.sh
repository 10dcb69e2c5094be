#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: MaxPool with a stride of 1 mixes up its paddings: where they differ by side, and in one dimension always.
#
# Expected: pads of ONNX are all beginnings, then all ends: [1, 1, 0, 0] is one row above and one column on the left. onnx's own shape
# inference and onnxruntime 1.31.1 read it so; AveragePool of the same evaluator, too.
# Seen: with a stride of 1 the evaluator takes the pairs as those of an axis: [1, 1, 0, 0] pads rows on both sides and columns on none, so
# 8 x 8 becomes 8 x 6 instead of 7 x 7. In one dimension, where there is no second axis to take the end from, [1, 1] raises an
# IndexError and [0, 1] loses the last output. With a stride of 2 all is well, as it is for equal paddings in two dimensions.
#
# Output seen (windows of 3; evaluator, onnxruntime):
#   stride 1, pads [1, 1, 0, 0]   (1, 1, 8, 6)  (1, 1, 7, 7)
#   stride 1, pads [1, 1, 1, 1]   (1, 1, 8, 8)  (1, 1, 8, 8)
#   stride 2, pads [1, 1, 0, 0]   (1, 1, 4, 4)  (1, 1, 4, 4)
#   stride 1, pads [0, 1]         (1, 1, 6)     (1, 1, 7)
#   stride 1, pads [1, 1]         IndexError    (1, 1, 8)
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


def results(stride, pads):
    axes = len(pads) // 2
    x = np.arange(8**axes, dtype=np.float32).reshape([1, 1] + [8] * axes)
    graph = helper.make_graph(
        [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3] * axes, strides=[stride] * axes, pads=pads)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    runtime = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    try:
        return ReferenceEvaluator(model).run(None, {"x": x})[0].shape, runtime.shape
    except IndexError as error:
        return type(error).__name__, runtime.shape


found = []
for stride, pads in ((1, [1, 1, 0, 0]), (1, [1, 1, 1, 1]), (2, [1, 1, 0, 0]), (1, [0, 1]), (1, [1, 1])):
    found.append(results(stride, pads))
    print(f"stride {stride}, pads {pads!s:14} {found[-1][0]!s:13} {found[-1][1]}")
raise SystemExit(
    found
    != [
        ((1, 1, 8, 6), (1, 1, 7, 7)),
        ((1, 1, 8, 8), (1, 1, 8, 8)),
        ((1, 1, 4, 4), (1, 1, 4, 4)),
        ((1, 1, 6), (1, 1, 7)),
        ("IndexError", (1, 1, 8)),
    ]
)
PYTHON
