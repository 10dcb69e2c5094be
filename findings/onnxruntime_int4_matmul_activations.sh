#!/usr/bin/env bash
# ONNX Runtime: 4-bit weights make the activations 8-bit, too, unless optimisation is off.
#
# One would expect that a float32 MatMul whose weights come from DequantizeLinear of INT4 stays a product of floats: the
# model says nothing of quantised activations, and the default level of optimisation keeps a model's meaning.
# What happens (onnxruntime 1.31.1, CPU): the default level makes MatMulNBits with accuracy_level 4 of the two, which
# quantises each row of activations to 8 bits. One large element in a row then drowns the others: 14 dB of signal to
# noise where the unoptimised model has 138. As an oracle for a compiler, a session needs ORT_DISABLE_ALL, or
# the session entry "session.qdq_matmulnbits_accuracy_level" set to "1".
#
# Output seen:
#   session                 operators                      SQNR
#   default                 MatMulNBits                    14 dB
#   disabled                DequantizeLinear, MatMul       138 dB
#   accuracy level 1        MatMulNBits                    138 dB
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
  numpy==2.4.0 ml_dtypes==0.6.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import pathlib
import sys
import tempfile

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)

LEVELS = onnxruntime.GraphOptimizationLevel
DEPTH, WIDTH, BLOCK = 64, 32, 32
generator = np.random.default_rng(0)
weights = generator.integers(-8, 8, (DEPTH, WIDTH)).astype(ml_dtypes.int4)
scales = generator.uniform(0.06, 0.19, (DEPTH // BLOCK, WIDTH)).astype(np.float32)
rows = generator.standard_normal((4, DEPTH)).astype(np.float32)
rows[:, ::BLOCK] *= 100
weights[::BLOCK] = 0  # What the large elements meet, so that only their effect on the scale of a row is seen.
graph = helper.make_graph(
    [
        helper.make_node("DequantizeLinear", ["q", "s"], ["w"], axis=0, block_size=BLOCK),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, rows.shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    [numpy_helper.from_array(weights, "q"), numpy_helper.from_array(scales, "s")],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10).SerializeToString()
exact = rows.astype(np.float64) @ (np.repeat(scales, BLOCK, 0).astype(np.float64) * weights.astype(np.float64))
table = {}
for name, entries, level in (
    ("default", {}, LEVELS.ORT_ENABLE_ALL),
    ("disabled", {}, LEVELS.ORT_DISABLE_ALL),
    ("accuracy level 1", {"session.qdq_matmulnbits_accuracy_level": "1"}, LEVELS.ORT_ENABLE_ALL),
):
    with tempfile.TemporaryDirectory() as folder:
        written = pathlib.Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(written)
        for entry in entries.items():
            options.add_session_config_entry(*entry)
        result = onnxruntime.InferenceSession(model, options).run(None, {"x": rows})[0]
        operators = ", ".join(node.op_type for node in onnx.load(written).graph.node)
    noise = float(np.sum((result - exact) ** 2))
    decibels = 10 * np.log10(float(np.sum(exact**2)) / noise)
    table[name] = operators, decibels
    print(f"{name:24}{operators:31}{decibels:.0f} dB")
sys.exit(
    not (
        table["default"][0] == table["accuracy level 1"][0] == "MatMulNBits"
        and table["default"][1] < 40
        and min(table["disabled"][1], table["accuracy level 1"][1]) > 100
    )
)
PYTHON
