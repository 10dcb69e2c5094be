#!/usr/bin/env bash
# onnxslim 0.1.98: a convolution times a vector along the image's width becomes a convolution with scaled channels.
#
# Expected: ONNX broadcasts from the right, so (1, 4, 4, 4) * (4,) multiplies column j by number j: a window function, or the columns' calibration.
# Only a constant of shape (4, 1, 1) has a number per channel.
# Seen: where the vector is as long as there are channels, onnxslim takes it for a number per channel and folds it into weights and
# bias. The result has the right shape and wrong numbers; slim() says nothing. With another number of channels it leaves
# the Mul alone. Add, and onnxsim 0.8.1 and onnxoptimizer 0.4.2 for both, do it right.
#
# Output seen (an image of ones, a convolution that copies it, times 1, 2, 3, 4; the first row of channels 0 and 1):
#   before: Conv Mul   1 2 3 4   1 2 3 4
#   after:  Conv       1 1 1 1   2 2 2 2
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
import onnxslim
from onnx import TensorProto, checker, helper, numpy_helper

constants = {"weights": np.ones((4, 1, 1, 1), np.float32), "columns": np.array([1, 2, 3, 4], np.float32)}
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "weights"], ["image"]), helper.make_node("Mul", ["image", "columns"], ["y"])],
    "graph",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4, 4, 4])],
    [numpy_helper.from_array(value, name) for name, value in constants.items()],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
checker.check_model(model, full_check=True)


def rows(name, model):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (y,) = session.run(None, {"x": np.ones((1, 1, 4, 4), np.float32)})
    found = [y[0, channel, 0].astype(int).tolist() for channel in (0, 1)]
    names = " ".join(node.op_type for node in model.graph.node)
    print(f"{name:7} {names:10}", "  ".join(" ".join(map(str, row)) for row in found))
    return found


before = rows("before:", model)
after = rows("after:", onnxslim.slim(model))
raise SystemExit(0 if before == [[1, 2, 3, 4]] * 2 and after == [[1] * 4, [2] * 4] else 1)
PYTHON
