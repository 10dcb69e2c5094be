#!/usr/bin/env bash
# OpenVINO 2026.4.1: DFT of ONNX runs along another axis than the file says, and a one-sided one has an axis too many.
#
# Expected: DFT transforms along one axis and leaves the number of axes as it is: (batch, n, 1) becomes (batch, n, 2), one-sided
# (batch, n // 2 + 1, 2). Which axis: an attribute until opset 19, an input from 20 on; a negative one counts the trailing
# real/imaginary axis in, so -2 is the last axis of the signal. onnxruntime 1.31.1 and onnx's reference evaluator agree.
# Seen: the input of opset 20 isn't read, so that any transform runs along axis 1; of opset 17, -2 is taken for -3. Neither raises,
# shapes are right: rows are mixed instead of samples. One-sided, the axis of length 1 stays in front of the new one of length 2;
# the one-sided inverse, which should end in an axis of length 1, has none.
#
# Output seen (onnxruntime, OpenVINO):
#   opset 17, axis 2    rows transformed       rows transformed
#   opset 17, axis -2   rows transformed       columns transformed
#   opset 20, axis 2    rows transformed       columns transformed
#   opset 20, axis -2   rows transformed       columns transformed
#   one-sided           (1, 3, 4, 2)           (1, 3, 4, 1, 2)
#   one-sided inverse   (1, 8, 4, 1)           (1, 8, 4)
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

SIGNAL = np.random.default_rng(0).normal(size=(1, 5, 4, 2)).astype(np.float32)


def model(opset, axis, x, shape, **attributes):
    inputs, constants = ["x"], []
    if opset >= 20:
        inputs, constants = ["x", "", "axis"], [numpy_helper.from_array(np.array(axis, np.int64), "axis")]
    else:
        attributes["axis"] = axis
    graph = helper.make_graph(
        [helper.make_node("DFT", inputs, ["y"], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        constants,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    checker.check_model(made, full_check=True)
    return made.SerializeToString()


def both(*what, **attributes):
    content = model(*what, **attributes)
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    by_openvino = core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([what[2]])[0]
    return onnxruntime.InferenceSession(content).run(None, {"x": what[2]})[0], by_openvino


def which(y):
    for name, axis in (("rows", 2), ("columns", 1)):
        expected = np.fft.fft(SIGNAL[..., 0] + 1j * SIGNAL[..., 1], axis=axis)
        if np.allclose(y[..., 0] + 1j * y[..., 1], expected, atol=1e-4):
            return f"{name} transformed"
    return "neither"


found = []
for opset, axis in ((17, 2), (17, -2), (20, 2), (20, -2)):
    found.append(tuple(which(y) for y in both(opset, axis, SIGNAL, SIGNAL.shape)))
    print(f"opset {opset}, axis {axis:<5}", "".join(f"{each:23}" for each in found[-1]))
for name, x, shape, inverse in (
    ("one-sided", SIGNAL[..., :1].copy(), (1, 3, 4, 2), 0),
    ("one-sided inverse", SIGNAL, (1, 8, 4, 1), 1),
):
    found.append(tuple(y.shape for y in both(17, 1, x, shape, onesided=1, inverse=inverse)))
    print(f"{name:20}", "".join(f"{each!s:23}" for each in found[-1]))
rows, columns = "rows transformed", "columns transformed"
raise SystemExit(
    found
    != [
        (rows, rows),
        (rows, columns),
        (rows, columns),
        (rows, columns),
        ((1, 3, 4, 2), (1, 3, 4, 1, 2)),
        ((1, 8, 4, 1), (1, 8, 4)),
    ]
)
PYTHON
