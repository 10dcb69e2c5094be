#!/usr/bin/env bash
# onnxruntime 1.31.1 and onnx 1.23.2: RoiAlign's mode max is the largest of weighted pixels, not of interpolated values.
#
# Expected: ONNX says that "the value of the sampled locations are computed directly through bilinear interpolation", and a mode how they are
# pooled. With sampling_ratio 1 each bin has one sample, so the mean and the maximum are the same number. OpenVINO 2026.4.1 does that.
# Seen: in mode max, onnxruntime and onnx's evaluator take the largest of the four products pixel * weight of a sample, which are never added
# up. Of an image that is 1 everywhere the maximum is below 1, by how far the sample is from a pixel's centre.
#
# Output seen (image of ones; a ramp of 0 to 15; two bins with one sample each):
#                 ones, avg   ones, max   ramp, avg   ramp, max
#   onnxruntime   1.00 1.00   0.54 0.78   5.47 6.83   2.70 4.68
#   evaluator     1.00 1.00   0.54 0.78   5.47 6.83   2.70 4.68
#   OpenVINO      1.00 1.00   1.00 1.00   5.48 6.83   5.48 6.83
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


def by_openvino(content, x):
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([x])[0]


def results(x, mode):
    constants = {"rois": np.array([[0.5, 0.5, 3.2, 2.9]], np.float32), "batches": np.array([0], np.int64)}
    graph = helper.make_graph(
        [
            helper.make_node(
                "RoiAlign", ["x", "rois", "batches"], ["y"], mode=mode, sampling_ratio=1, output_height=1, output_width=2
            )
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 2])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    return {
        "onnxruntime": onnxruntime.InferenceSession(content).run(None, {"x": x})[0],
        "evaluator": ReferenceEvaluator(model).run(None, {"x": x})[0],
        "OpenVINO": by_openvino(content, x),
    }


ones, ramp = np.ones((1, 1, 4, 4), np.float32), np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
columns = [results(x, mode) for x in (ones, ramp) for mode in ("avg", "max")]
same = {}
print("              ones, avg   ones, max   ramp, avg   ramp, max")
for name in columns[0]:
    row = [column[name].ravel() for column in columns]
    print(f"{name:13}", *(f"{f'{y[0]:.2f} {y[1]:.2f}':11}" for y in row))
    same[name] = [np.allclose(row[i], row[i + 1], atol=1e-5) for i in (0, 2)]
raise SystemExit(same != {"onnxruntime": [False, False], "evaluator": [False, False], "OpenVINO": [True, True]})
PYTHON
