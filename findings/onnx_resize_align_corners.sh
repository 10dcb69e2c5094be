#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: Resize with align_corners and a fractional scale doesn't align the corners.
#
# Expected: align_corners maps the last output to the last input: x * (length_original - 1) / (length_resized - 1), where the resized
# length is that of the output, a whole number. onnxruntime 1.31.1 does so; the last output is the last input.
# Seen: the evaluator divides by size * scale - 1 without rounding size * scale down first. 7 elements at 1.5 are 10, whose last is taken for
# position 9 / 9.5 of the way. With sizes instead of scales, or a product that is whole, it is right.
#
# Output seen (the last output of 0 10 20 30 40 50 60):
#   mode      by          evaluator   onnxruntime
#   linear    scale 1.5   56.842      60.000
#   cubic     scale 1.5   57.553      60.000
#   linear    scale 2     60.000      60.000
#   linear    size  10    60.000      60.000
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

X = (np.arange(7, dtype=np.float32) * 10).reshape(1, 1, 7, 1)


def last(mode, by, value):
    operands = ["x", "", "value"] if by == "scale" else ["x", "", "", "value"]
    constant = np.array([1, 1, value, 1], np.float32 if by == "scale" else np.int64)
    graph = helper.make_graph(
        [helper.make_node("Resize", operands, ["y"], mode=mode, coordinate_transformation_mode="align_corners")],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "height", "width"])],
        [numpy_helper.from_array(constant, "value")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    checker.check_model(model, full_check=True)
    runs = ReferenceEvaluator(model).run, onnxruntime.InferenceSession(model.SerializeToString()).run
    return [float(run(None, {"x": X})[0].ravel()[-1]) for run in runs]


right = []
print("mode      by          evaluator   onnxruntime")
for mode, by, value in (("linear", "scale", 1.5), ("cubic", "scale", 1.5), ("linear", "scale", 2), ("linear", "size", 10)):
    evaluator, runtime = last(mode, by, value)
    print(f"{mode:9} {by:5} {value:<5} {evaluator:.3f}      {runtime:.3f}")
    right.append((abs(evaluator - 60) < 1e-3, abs(runtime - 60) < 1e-3))
raise SystemExit(right != [(False, True), (False, True), (True, True), (True, True)])
PYTHON
