#!/usr/bin/env bash
# onnx 1.23.2: raising the opset of a file moves linear Resize and Upsample by half a pixel.
#
# Expected: version_converter.convert_version() changes the words of a model, not what it computes. Upsample, and Resize of opset 10, place
# output i at i / scale; since opset 11 an attribute says so ("asymmetric"), whose default is another rule ("half_pixel").
# Seen: the converter adds the new operands and leaves the attribute out, so that the default applies. All values between pixels change, and
# each image is shifted. mode "nearest" comes out the same for these sizes, which hides it. Models of 2018 and 2019 (PyTorch's
# exporter up to opset 10, most segmentation and detection files of that time) have these operators, and raising the opset is the
# first step of quantising them.
#
# Output seen (0 10 20 30, scale 2, by onnxruntime, not optimised):
#   Upsample, opset 9   0 5 10 15 20 25 30 30
#     raised to 11      0 2.5 7.5 12.5 17.5 22.5 27.5 30
#   Resize, opset 10    0 5 10 15 20 25 30 30
#     raised to 11      0 2.5 7.5 12.5 17.5 22.5 27.5 30
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, version_converter

LEVELS = onnxruntime.GraphOptimizationLevel


def model(operator, opset):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "scales"], ["y"], mode="linear")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, 8])],
        [numpy_helper.from_array(np.array([1, 1, 1, 2], np.float32), "scales")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4)
    checker.check_model(made)
    return made


def output(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS.ORT_DISABLE_ALL
    x = np.array([0, 10, 20, 30], np.float32).reshape(1, 1, 1, 4)
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0].ravel().tolist()


ASYMMETRIC, HALF_PIXEL = [0, 5, 10, 15, 20, 25, 30, 30], [0, 2.5, 7.5, 12.5, 17.5, 22.5, 27.5, 30]
found = []
for operator, opset in (("Upsample", 9), ("Resize", 10)):
    made = model(operator, opset)
    for name, each in ((f"{operator}, opset {opset}", made), ("  raised to 11", version_converter.convert_version(made, 11))):
        found.append(output(each))
        print(f"{name:19}", " ".join(f"{value:g}" for value in found[-1]))
raise SystemExit(0 if found == [ASYMMETRIC, HALF_PIXEL] * 2 else 1)
PYTHON
