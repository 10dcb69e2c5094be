#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.31.1: GridSample, cubic with border padding, is two different functions outside the image.
#
# Expected: the reference evaluator's result is the definition, and onnxruntime's within rounding of it.
# Seen: for places outside, the evaluator first moves the place to the border and interpolates there, which gives the border
# pixel; onnxruntime interpolates at the place itself, among neighbours that repeat the border. Inside the image both agree.
#
# Output seen (largest difference on 4x4 random pixels; places inside, places up to half an image outside):
#   inside below 1e-5, outside above 0.1
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
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(0)
image = rng.normal(size=(1, 1, 4, 4)).astype(np.float32)
differences = []
for reach in (0.2, 1.5):
    grid = rng.uniform(-reach, reach, (1, 6, 6, 2)).astype(np.float32)
    feeds = {"x": image, "grid": grid}
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, v.shape) for name, v in feeds.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node("GridSample", list(feeds), ["y"], mode="cubic", padding_mode="border")
    graph = helper.make_graph([node], "g", values, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ours, theirs = session.run(None, feeds)[0], ReferenceEvaluator(model).run(None, feeds)[0]
    differences.append(float(np.abs(ours - theirs).max()))
print(f"inside {differences[0]:.1e}, outside {differences[1]:.2f}")
raise SystemExit(0 if differences[0] < 1e-4 and differences[1] > 0.1 else 1)
PYTHON
