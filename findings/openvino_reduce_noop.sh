#!/usr/bin/env bash
# OpenVINO 2026.4.1: ReduceL1, ReduceL2 and ReduceLogSum of ONNX without axes and noop_with_empty_axes=1 lose their absolute value and logarithm.
#
# Expected (ONNX, opset 18): "the reduction step behaves like a no-op, but composite-reduction operators will still perform the
# non-reduction steps": ReduceL1 is |x|, ReduceL2 too, ReduceLogSum log(x), ReduceSumSquare x * x. onnxruntime 1.31.1 and onnx's evaluator
# agree with that.
# Seen: ReduceSumSquare squares, as it should; the others hand their input on, negative numbers included.
#
# Output seen (of -3 and 4, of ReduceLogSum of 3 and 4; onnxruntime, OpenVINO):
#   ReduceL1         3.000 4.000     -3.000 4.000
#   ReduceL2         3.000 4.000     -3.000 4.000
#   ReduceLogSum     1.099 1.386     3.000 4.000
#   ReduceSumSquare  9.000 16.000    9.000 16.000
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
from onnx import TensorProto, checker, helper

wrong = {}
for operator in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceSumSquare"):
    x = np.array([3 if operator == "ReduceLogSum" else -3, 4], np.float32)
    graph = helper.make_graph(
        [helper.make_node(operator, ["x"], ["y"], noop_with_empty_axes=1)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    checker.check_model(model, full_check=True)
    content = model.SerializeToString()
    core = openvino.Core()
    core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    seen = core.compile_model(core.read_model(io.BytesIO(content)), "CPU")([x])[0]
    right = onnxruntime.InferenceSession(content).run(None, {"x": x})[0]
    print(f"{operator:16}", *(f"{f'{y[0]:.3f} {y[1]:.3f}':15}" for y in (right, seen)))
    wrong[operator] = np.array_equal(seen, x) and not np.allclose(right, x)
raise SystemExit(wrong != {"ReduceL1": True, "ReduceL2": True, "ReduceLogSum": True, "ReduceSumSquare": False})
PYTHON
