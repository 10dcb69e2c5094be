#!/usr/bin/env bash
# onnxruntime 1.31.1: dilated pools with auto_pad SAME lose outputs. The same Conv is refused.
#
# Expected: SAME means ceil(size / stride) outputs, and the padding for it is that of the dilated window, (kernel - 1) * dilation + 1.
# ONNX's text has the formula, its shape inference the shape. A runtime computes that, or refuses it, as onnxruntime's Conv does
# ("Dilation not supported for AutoPadType::SAME_UPPER or AutoPadType::SAME_LOWER").
# Seen: the pools take the padding of a window without dilation, so 8 elements become 6, shifted by one. There is no error: onnxruntime
# warns at most that the shape isn't the expected one, and whatever follows fails, or broadcasts.
#
# Output seen (outputs of 8 elements, window of 3, dilation of 2):
#                 stated   SAME_UPPER   SAME_LOWER
#   MaxPool         8          6            6
#   LpPool          8          6            6
#   AveragePool     8          6            6
#   Conv            8       refused      refused
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, shape_inference
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument

X = np.arange(8, dtype=np.float32).reshape(1, 1, 8)
onnxruntime.set_default_logger_severity(4)


def lengths(operator, auto_pad):
    inputs = ["x", "w"] if operator == "Conv" else ["x"]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs, ["y"], kernel_shape=[3], dilations=[2], auto_pad=auto_pad)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "l"])],
        [numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "w")][: len(inputs) - 1],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    checker.check_model(model, full_check=True)
    # An Identity behind it, so that the length is inferred and not the one declared.
    model.graph.node[0].output[0] = "inner"
    model.graph.node.append(helper.make_node("Identity", ["inner"], ["y"]))
    (inner,) = shape_inference.infer_shapes(model).graph.value_info
    stated = inner.type.tensor_type.shape.dim[2].dim_value
    try:
        return stated, onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0].shape[2]
    except InvalidArgument:
        return stated, "refused"


found = {}
print("              stated   SAME_UPPER   SAME_LOWER")
for operator in ("MaxPool", "LpPool", "AveragePool", "Conv"):
    (stated, upper), (_, lower) = lengths(operator, "SAME_UPPER"), lengths(operator, "SAME_LOWER")
    found[operator] = stated, upper, lower
    print(f"{operator:15} {stated:^6} {upper:^12} {lower:^12}")
expected = dict.fromkeys(("MaxPool", "LpPool", "AveragePool"), (8, 6, 6)) | {"Conv": (8, "refused", "refused")}
raise SystemExit(found != expected)
PYTHON
