#!/usr/bin/env bash
# onnxruntime 1.31.1: ConvInteger and MatMulInteger refuse zero points of an output channel or a row, which ONNX has, when they run.
#
# Expected: ONNX says of ConvInteger's w_zero_point "a scalar or a 1-D tensor, which means a per-tensor/layer or per output channel quantization",
# of MatMulInteger's a_zero_point "a scalar or N-D tensor", the latter for "per row quantization". A runtime computes these (QLinearConv and the columns of MatMulInteger's b are computed), or
# refuses the model as it loads it.
# Seen: the session is made, and each run fails; also where all zero points are the same. onnx's reference evaluator computes all.
#
# Output seen:
#   ConvInteger, w_zero_point of 2 channels    runs: Fail
#   ConvInteger, w_zero_point of all           runs: equal
#   MatMulInteger, a_zero_point of 4 rows      runs: Fail
#   MatMulInteger, b_zero_point of 2 columns   runs: equal
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

rng = np.random.default_rng(0)
onnxruntime.set_default_logger_severity(4)


def outcome(operator, shapes, zero_points):
    x, weights = (rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes)
    constants = {"w": weights} | {name: np.asarray(zero, np.uint8) for name, zero in zip(("xz", "wz"), zero_points)}
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", *constants], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [f"d{axis}" for axis in range(x.ndim)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    right = ReferenceEvaluator(model).run(None, {"x": x})[0]
    session = onnxruntime.InferenceSession(model.SerializeToString())
    try:
        return "equal" if np.array_equal(session.run(None, {"x": x})[0], right) else "another"
    except Fail as error:
        return type(error).__name__


images, matrices = ((1, 1, 4, 4), (2, 1, 3, 3)), ((4, 6), (6, 2))
found = []
for name, *case in (
    ("ConvInteger, w_zero_point of 2 channels", "ConvInteger", images, (3, [7, 7])),
    ("ConvInteger, w_zero_point of all", "ConvInteger", images, (3, 7)),
    ("MatMulInteger, a_zero_point of 4 rows", "MatMulInteger", matrices, ([[1], [2], [3], [4]], 7)),
    ("MatMulInteger, b_zero_point of 2 columns", "MatMulInteger", matrices, (3, [7, 8])),
):
    found.append(outcome(*case))
    print(f"{name:42} runs: {found[-1]}")
raise SystemExit(found != ["Fail", "equal", "Fail", "equal"])
PYTHON
