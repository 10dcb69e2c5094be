#!/usr/bin/env bash
# OpenVINO 2026.4.1: a transposed convolution with output_shape and SAME_UPPER comes out shifted by one pixel where the padding is odd.
#
# Expected: ONNX says which end gets the larger half of an odd padding: the end for SAME_UPPER, the beginning for everything else.
# onnxruntime 1.31.1 and onnx's reference evaluator do that.
# Seen: OpenVINO gives the larger half to the beginning each time, so the three ways of writing it are one. Three inputs with stride 2 and a
# window of 3 give 7 numbers; of the 6 that output_shape asks for, SAME_UPPER should have the first six, and has the last.
#
# Output seen (weights 1, 2, 3; inputs 1, 10, 100; all seven: 1 2 13 20 130 200 300):
#                onnxruntime          OpenVINO
#   SAME_UPPER   1 2 13 20 130 200    2 13 20 130 200 300
#   SAME_LOWER   2 13 20 130 200 300  2 13 20 130 200 300
#   NOTSET       2 13 20 130 200 300  2 13 20 130 200 300
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import io

import numpy as np
import onnxruntime
import openvino
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

X = np.array([[[1, 10, 100]]], np.float32)
found = {}
for auto_pad in ("SAME_UPPER", "SAME_LOWER", "NOTSET"):
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=[2], output_shape=[6], auto_pad=auto_pad)
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6])],
        [numpy_helper.from_array(np.array([[[1, 2, 3]]], np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = (
        onnxruntime.InferenceSession(content).run(None, {"x": X})[0],
        core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([X])[0],
    )
    found[auto_pad] = [" ".join(f"{value:.0f}" for value in y.ravel()) for y in results]
    print(f"{auto_pad:12} {found[auto_pad][0]:20} {found[auto_pad][1]}")
    if auto_pad == "SAME_UPPER":
        assert np.array_equal(ReferenceEvaluator(model).run(None, {"x": X})[0], results[0])
first, last = "1 2 13 20 130 200", "2 13 20 130 200 300"
raise SystemExit(found != {"SAME_UPPER": [first, last], "SAME_LOWER": [last, last], "NOTSET": [last, last]})
PYTHON
