#!/usr/bin/env bash
# OpenVINO 2026.4.1: Resize of ONNX reads over antialias, exclude_outside and keep_aspect_ratio_policy.
#
# Expected: what changes the numbers or the shape is computed or refused. OpenVINO does refuse the coordinates half_pixel_symmetric.
# onnxruntime 1.31.1 and onnx's reference evaluator compute all three.
# Seen: a model that shrinks images with antialias (Pillow's filter, what detectors were trained with) gets the plain one, which looks at
# two pixels of ten. exclude_outside, which is TensorFlow's and Pillow's cubic at borders, changes nothing. "not_larger" (letterboxes) gives an
# image of the box's size, stretched, where the file says 5 x 8. Nothing is raised.
#
# Output seen (onnxruntime, OpenVINO, OpenVINO without the attribute):
#   antialias         0.173 0.189 -0.149    0.215 1.493 0.264     0.215 1.493 0.264
#   exclude_outside   0.225 -0.013 -0.017   0.210 -0.039 -0.020   0.210 -0.039 -0.020
#   not_larger        (1, 1, 5, 8)          (1, 1, 7, 8)          (1, 1, 7, 8)
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


def model(x, constants, **attributes):
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", *constants], ["y"], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "height", "width"])],
        [numpy_helper.from_array(value, name) for name, value in constants.items() if name],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    checker.check_model(made)
    return made.SerializeToString()


def by_openvino(content, x):
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([x])[0]


rng = np.random.default_rng(0)
image, box = (rng.normal(size=shape).astype(np.float32) for shape in ((1, 1, 16, 16), (1, 1, 4, 6)))
smaller, larger = ({"scales": np.array([1, 1, scale, scale], np.float32)} for scale in (0.2, 1.5))
sizes = {"": None, "sizes": np.array([7, 8], np.int64)}
wrong = []
for x, constants, mode, name, value in (
    (image, smaller, {"mode": "linear"}, "antialias", 1),
    (image, larger, {"mode": "cubic"}, "exclude_outside", 1),
    (box, sizes, {"mode": "linear", "axes": [2, 3]}, "keep_aspect_ratio_policy", "not_larger"),
):
    content = model(x, constants, **mode, **{name: value})
    right = onnxruntime.InferenceSession(content).run(None, {"x": x})[0]
    seen = right, by_openvino(content, x), by_openvino(model(x, constants, **mode), x)
    if name == "keep_aspect_ratio_policy":
        print(f"{value:17}", "".join(f"{y.shape!s:22}" for y in seen))
    else:
        print(f"{name:17}", "".join(f"{' '.join(f'{v:.3f}' for v in y.ravel()[:3]):22}" for y in seen))
    wrong.append(np.array_equal(seen[1], seen[2]) and (right.shape != seen[1].shape or np.abs(right - seen[1]).max() > 0.01))
raise SystemExit(0 if all(wrong) else 1)
PYTHON
