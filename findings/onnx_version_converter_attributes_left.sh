#!/usr/bin/env bash
# onnx 1.23.2: lowering the opset leaves attributes in the file that the lower opset doesn't have.
#
# Expected: an attribute that a lower opset lacks goes where it has its default, and stops the conversion where it doesn't; the converter does so for
# ArgMax's select_last_index, Resize's antialias and ScatterND's reduction.
# Seen: the ones below stay, whatever their values are, also where the value is the default and the file would mean the same without it.
# convert_version returns a model that onnx's own checker refuses ("Unrecognized attribute"), as onnxruntime does.
#
# Output seen:
#   AveragePool     19 -> 18  dilations [2] left
#   AveragePool     19 -> 18  dilations [1] left
#   QuantizeLinear  19 -> 13  saturate 1 left
#   Cast            19 -> 13  saturate 1 left
#   ReduceMean      18 -> 17  noop_with_empty_axes 0 left
#   ArgMax          12 -> 11  select_last_index 0 removed
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper, version_converter


def left(operator, opsets, attributes, name, constants, y):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *constants], ["y"], **attributes)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8])],
        [helper.make_tensor_value_info("y", y, ["n", "c", "l"])],
        [numpy_helper.from_array(np.array(value), key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opsets[0])], ir_version=7)
    checker.check_model(model, full_check=True)
    lower = version_converter.convert_version(model, opsets[1])
    stays = name in [attribute.name for attribute in lower.graph.node[0].attribute]
    try:
        checker.check_model(lower)
        return "left" if stays else "removed"
    except checker.ValidationError as error:
        assert stays and f"Unrecognized attribute: {name}" in str(error)
        return "left"


found = []
quantization = {"scale": np.float32(1), "zero": np.uint8(3)}
for operator, opsets, attributes, name, constants, y in (
    ("AveragePool", (19, 18), {"kernel_shape": [2], "dilations": [2]}, "dilations", {}, TensorProto.FLOAT),
    ("AveragePool", (19, 18), {"kernel_shape": [2], "dilations": [1]}, "dilations", {}, TensorProto.FLOAT),
    ("QuantizeLinear", (19, 13), {"saturate": 1}, "saturate", quantization, TensorProto.UINT8),
    ("Cast", (19, 13), {"saturate": 1, "to": TensorProto.INT32}, "saturate", {}, TensorProto.INT32),
    ("ReduceMean", (18, 17), {"noop_with_empty_axes": 0}, "noop_with_empty_axes", {}, TensorProto.FLOAT),
    ("ArgMax", (12, 11), {"select_last_index": 0}, "select_last_index", {}, TensorProto.INT64),
):
    found.append(left(operator, opsets, attributes, name, constants, y))
    print(f"{operator:15} {opsets[0]} -> {opsets[1]}  {name} {attributes[name]} {found[-1]}")
raise SystemExit(found != ["left"] * 5 + ["removed"])
PYTHON
