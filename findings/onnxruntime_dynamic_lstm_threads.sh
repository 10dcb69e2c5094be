#!/usr/bin/env bash
# onnxruntime 1.31.1: the outputs of DynamicQuantizeLSTM (what quantize_dynamic makes of LSTM) depend on the number of threads.
#
# Expected: threads change how long it takes; sums of integers have no order, and floats differ in the last bit at most.
# Seen: before each step the hidden state is quantised by the range of those sequences that one thread computes. With two
# sequences one thread takes a common range, two threads take one each: the outputs are 0.017 apart, thousands of times what
# float arithmetic explains. A test on a laptop, a container with one core and a server each have their own numbers; one sequence
# at a time has always the same.
#
# Output seen:
#   2 sequences, 1 thread against 2: 0.017
#   1 sequence, 1 thread against 2: 0.000
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

STEPS, INPUTS, UNITS = 12, 8, 16
random = np.random.default_rng(0)
weights = {
    "W": random.integers(-127, 128, (1, INPUTS, 4 * UNITS)).astype(np.int8),
    "R": random.integers(-127, 128, (1, UNITS, 4 * UNITS)).astype(np.int8),
    "W_scale": np.array([0.01], np.float32),
    "W_zero": np.zeros(1, np.int8),
    "R_scale": np.array([0.01], np.float32),
    "R_zero": np.zeros(1, np.int8),
}
x = random.standard_normal((STEPS, 2, INPUTS)).astype(np.float32)
x[:, 1] *= 0.1  # so that the ranges of the two differ


def outputs(sequences, threads):
    names = ["X", "W", "R", "", "", "", "", "", "W_scale", "W_zero", "R_scale", "R_zero"]
    node = helper.make_node("DynamicQuantizeLSTM", names, ["Y"], domain="com.microsoft", hidden_size=UNITS)
    entry = helper.make_tensor_value_info("X", TensorProto.FLOAT, sequences.shape)
    constants = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph([node], "g", [entry], [helper.make_tensor_value_info("Y", TensorProto.FLOAT, None)], constants)
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=versions, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"X": sequences})[0]


def apart(what, a, b):
    found = float(np.abs(a - b).max())
    print(f"{what}: {found:.3f}")
    return found


both, alone = np.ascontiguousarray(x), np.ascontiguousarray(x[:, 1:])
seen = [
    apart("2 sequences, 1 thread against 2", outputs(both, 1), outputs(both, 2)),
    apart("1 sequence, 1 thread against 2", outputs(alone, 1), outputs(alone, 2)),
]
raise SystemExit(0 if seen[0] > 0.001 and seen[1] == 0 else 1)
PYTHON
