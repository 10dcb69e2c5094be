#!/usr/bin/env bash
# onnx 1.23.2, onnxruntime 1.31.1, OpenVINO 2026.4.1: DynamicQuantizeLinear of zeros has four different scales, and of halves two results.
#
# Expected: one answer. The operator is defined by a graph of other operators (its function in the standard), in which the scale is
# (max - min) / 255 and Round is half to even.
# Seen: of a tensor of zeros (silence, an empty image, a first recurrent state) the definition has the scale 0, and then divides by it;
# the reference evaluator says 1 / 255, onnxruntime 1, OpenVINO 0. What multiplies by the scale later doesn't notice; what divides by it, or
# compares scales, does. And OpenVINO rounds halves away from zero: with the scale 1, 2.5 is 3 instead of 2.
#
# Output seen (values and scale):
#               zeros            0.5 1.5 2.5 255
#   definition  0 0 0  0         0 2 2 255  1
#   evaluator   0 0 0  0.003922  0 2 2 255  1
#   onnxruntime 0 0 0  1         0 2 2 255  1
#   OpenVINO    0 0 0  0         0 2 3 255  1
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
from onnx import TensorProto, checker, defs, helper
from onnx.reference import ReferenceEvaluator


def model(x):
    graph = helper.make_graph(
        [helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [
            helper.make_tensor_value_info("y", TensorProto.UINT8, x.shape),
            helper.make_tensor_value_info("scale", TensorProto.FLOAT, []),
            helper.make_tensor_value_info("zero", TensorProto.UINT8, []),
        ],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made


def by_openvino(content, x):
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    compiled = core.compile_model(core.read_model(io.BytesIO(content)), "CPU")
    results = compiled([x])
    return [results[output] for output in compiled.outputs]


table = {name: [] for name in ("definition", "evaluator", "onnxruntime", "OpenVINO")}
for x in (np.zeros(3, np.float32), np.array([0.5, 1.5, 2.5, 255], np.float32)):
    made = model(x)
    content = made.SerializeToString()
    definition = defs.get_schema("DynamicQuantizeLinear").function_body
    for name, (y, scale, _) in (
        ("definition", ReferenceEvaluator(definition).run(None, {"x": x}, attributes={})),
        ("evaluator", ReferenceEvaluator(made).run(None, {"x": x})),
        ("onnxruntime", onnxruntime.InferenceSession(content).run(None, {"x": x})),
        ("OpenVINO", by_openvino(content, x)),
    ):
        table[name].append(f"{' '.join(str(value) for value in y)}  {float(scale):.4g}")
for name, row in table.items():
    print(f"{name:11} {row[0]:16} {row[1]}")
ends = [row[0].split()[-1] for row in table.values()]
raise SystemExit(
    (ends, [row[1] for row in table.values()])
    != (["0", "0.003922", "1", "0"], ["0 2 2 255  1", "0 2 2 255  1", "0 2 2 255  1", "0 2 3 255  1"])
)
PYTHON
