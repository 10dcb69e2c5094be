#!/usr/bin/env bash
# OpenVINO 2026.4.1: pools with ceil_mode of ONNX have an output of padding alone (-3.4e38), or count what is beyond the padding.
#
# Expected: ceil_mode adds an output for elements that windows would leave out; "sliding windows that would start in the right padded
# region are ignored" (ONNX, as PyTorch says). An average counts its padding at most, not what ceil_mode adds behind it; a norm (LpPool)
# is a sum over what is there. onnxruntime 1.31.1 computes so.
# Seen: of 8 elements in windows of 3 with a stride of 3 and a padding of 1, MaxPool gives a fourth output, the lowest float. AveragePool with
# count_include_pad divides the last window, of one element and one padding, by 3; LpPool's last window of two ones is 3, a third one is made up.
#
# Output seen (onnxruntime, OpenVINO):
#   MaxPool      2 5 8                  2 5 8 -3.403e+38
#   AveragePool  0.6667 1 1 1 0.5       0.6667 1 1 1 0.3333
#   LpPool       3 3 3 2                3 3 3 3
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
from onnx import TensorProto, checker, helper

CASES = (
    ("MaxPool", np.arange(1, 9), 3, {"strides": [3], "pads": [1, 1]}),
    ("AveragePool", np.ones(8), 5, {"strides": [2], "pads": [1, 1], "count_include_pad": 1}),
    ("LpPool", np.ones(8), 4, {"strides": [2], "p": 1}),
)
found = []
for operator, values, outputs, attributes in CASES:
    x = values.astype(np.float32).reshape(1, 1, 8)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], kernel_shape=[3], ceil_mode=1, **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, outputs])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    by_openvino = core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([x])[0]
    by_onnxruntime = onnxruntime.InferenceSession(content).run(None, {"x": x})[0]
    found.append([[f"{value:.4g}" for value in y.ravel()] for y in (by_onnxruntime, by_openvino)])
    print(f"{operator:12}", *(f"{' '.join(each):22}" for each in found[-1]))
raise SystemExit(
    found
    != [
        [["2", "5", "8"], ["2", "5", "8", "-3.403e+38"]],
        [["0.6667", "1", "1", "1", "0.5"], ["0.6667", "1", "1", "1", "0.3333"]],
        [["3", "3", "3", "2"], ["3", "3", "3", "3"]],
    ]
)
PYTHON
