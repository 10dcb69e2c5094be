#!/usr/bin/env bash
# OpenVINO 2026.4.1: LSTM, GRU and RNN of ONNX with layout 1 (the batch first) are computed as if it were 0.
#
# Expected: layout = 1 says that X is (batch, steps, size); a reader takes it, or refuses the model. onnxruntime 1.31.1 does the latter
# ("not supported"), onnx's reference evaluator computes it.
# Seen: the attribute is read over. Where there are as many sequences as steps, shapes fit and the numbers are those of another
# network: it steps through the batch. Otherwise results have other shapes than the file says, again without an error.
#
# Output seen (two sequences of two steps, last states: reference evaluator, OpenVINO):
#   RNN    0.030 0.599    0.300 0.397    0.030 0.599
#   GRU    0.014 0.243    0.128 0.160    0.014 0.243
#   LSTM   0.007 0.230    0.098 0.139    0.007 0.230
# (the last column: OpenVINO, axes exchanged by hand and layout 0)
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check openvino==2026.4.1 onnx==1.23.2 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import io

import numpy as np
import openvino
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
X = np.array([[[1], [2]], [[30], [40]]], np.float32) / 100


def model(kind, layout):
    constants = {"w": np.ones((1, GATES[kind], 1), np.float32), "r": np.ones((1, GATES[kind], 1), np.float32)}
    graph = helper.make_graph(
        [helper.make_node(kind, ["x", "w", "r"], ["", "y"], hidden_size=1, layout=layout)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 2, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 1, 1] if layout else [1, 2, 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(made, full_check=True)
    return made


def by_openvino(model, x):
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return core.compile_model(core.read_model(io.BytesIO(model.SerializeToString())), "CPU")([x])[0].ravel()


wrong = []
for kind in GATES:
    (right,) = (each.ravel() for each in ReferenceEvaluator(model(kind, 1)).run(None, {"x": X}))
    got, by_hand = by_openvino(model(kind, 1), X), by_openvino(model(kind, 0), X.transpose(1, 0, 2).copy())
    print(f"{kind:6}", *(f"{each[0]:.3f} {each[1]:.3f}   " for each in (right, got, by_hand)))
    assert np.allclose(right, by_hand, atol=1e-3)
    wrong.append(not np.allclose(right, got, atol=1e-2))
raise SystemExit(0 if all(wrong) else 1)
PYTHON
