#!/usr/bin/env bash
# ONNX Runtime: Cast from float32 to a 4-bit integer rounds, to an 8-bit integer it truncates.
#
# One would expect what ONNX says of Cast from floats to integers: the fraction is cut off. onnx' reference evaluator
# does so for all widths.
# What happens (onnxruntime 1.31.1): to INT8, 2.5 becomes 2; to INT4, UINT4 (and INT2, UINT2 of opset 25) it
# becomes 3, and 0.5 becomes 1: halves away from zero. QuantizeLinear to the same types rounds halves to
# even: three rules side by side.
#
# Output seen:
#   from               -2.5  -1.7  -0.5   0.5   1.7   2.5
#   Cast to INT8         -2    -1     0     0     1     2
#   Cast to INT4         -3    -2    -1     1     2     3
#   QuantizeLinear       -2    -2     0     0     2     2
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
  numpy==2.4.0 ml_dtypes==0.6.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)

VALUES = np.array([-2.5, -1.7, -0.5, 0.5, 1.7, 2.5], np.float32)


def integers(node, constants):
    graph = helper.make_graph(
        [node, helper.make_node("Cast", ["q"], ["y"], to=TensorProto.INT32)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, VALUES.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, None)],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": VALUES})[0].tolist()


one = numpy_helper.from_array(np.float32(1), "s")
table = {
    "Cast to INT8": integers(helper.make_node("Cast", ["x"], ["q"], to=TensorProto.INT8), []),
    "Cast to INT4": integers(helper.make_node("Cast", ["x"], ["q"], to=TensorProto.INT4), []),
    "QuantizeLinear": integers(
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], output_dtype=TensorProto.INT4), [one]
    ),
}
print("from            " + "".join(f"{value:7.1f}" for value in VALUES))
for name, row in table.items():
    print(f"{name:16}" + "".join(f"{value:6} " for value in row))
sys.exit(list(table.values()) != [[-2, -1, 0, 0, 1, 2], [-3, -2, -1, 1, 2, 3], [-2, -2, 0, 0, 2, 2]])
PYTHON
