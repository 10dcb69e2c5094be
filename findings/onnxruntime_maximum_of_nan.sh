#!/usr/bin/env bash
# onnxruntime 1.31.1: whether a maximum of values with a NaN is NaN depends on the operator, and on where the NaN stands.
#
# Expected: one answer. IEEE 754 offers two (maximum hands NaN on, maximumNumber leaves it out), NumPy and PyTorch hand it on.
# Seen: Max hands it on; MaxPool leaves it out; ReduceMax hands it on if it comes first, and leaves it out elsewhere. A float
# network that went wrong (the logarithm of a negative number) looks healthy behind a pool, and differs from itself when
# channels are reordered.
#
# Output seen (maximum of three values by MaxPool, ReduceMax, and Max of one after the other):
#   [nan, 1, 5]  5.0 nan nan
#   [5, nan, 1]  5.0 5.0 nan
#   [1, 5, nan]  5.0 5.0 nan
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


def run(node, inputs):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name, x in inputs.items()]
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph([node], "g", values, [result]), ir_version=8)
    model.opset_import[0].version = 17
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return float(session.run(None, inputs)[0].ravel()[0])


seen = []
for row in ([np.nan, 1, 5], [5, np.nan, 1], [1, 5, np.nan]):
    x = {"x": np.array([[row]], np.float32)}
    apart = {name: np.array([value], np.float32) for name, value in zip("abc", row)}
    results = [
        run(helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3]), x),
        run(helper.make_node("ReduceMax", ["x"], ["y"]), x),
        run(helper.make_node("Max", list(apart), ["y"]), apart),
    ]
    print([int(v) if v == v else v for v in row], *results)
    seen.append("".join("n" if np.isnan(r) else "5" for r in results))
raise SystemExit(0 if seen == ["5nn", "55n", "55n"] else 1)
PYTHON
