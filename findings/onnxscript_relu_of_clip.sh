#!/usr/bin/env bash
# onnxscript 0.7.2: its optimiser makes Relu(Clip(x, -2, -1)), which is 0, a Clip whose result is -1.
#
# Expected: the optimiser that PyTorch's exporter runs on every model keeps its values: behind a Relu nothing is negative.
# Seen: the rule that joins Clip and Relu raises Clip's lower end to 0 and leaves the upper one: Clip(x, 0, -1). Where the lower end
# is above the upper one, ONNX says that the result is the upper end, so the model answers -1 for every input. An upper end below
# 0 comes from a range that is computed or learned (PACT, a saturation taken from a data sheet, a channel that is always off). The
# other order, Clip of Relu, and Relu of Min are right.
#
# Output seen (x = -3, -1.5, 0, 3):
#   Relu(Clip(x, -2, -1))   before  0 0 0 0      after  -1 -1 -1 -1   (Clip)
#   Clip(Relu(x), -2, -1)   before  -1 -1 -1 -1  after  -1 -1 -1 -1   (Clip)
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
import onnxscript.optimizer
from onnx import TensorProto, checker, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.array([-3, -1.5, 0, 3], np.float32)


def model(relu_last):
    clip = helper.make_node("Clip", ["x" if relu_last else "between", "low", "high"], ["between" if relu_last else "y"])
    relu = helper.make_node("Relu", ["between" if relu_last else "x"], ["y" if relu_last else "between"])
    graph = helper.make_graph(
        [clip, relu] if relu_last else [relu, clip],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [numpy_helper.from_array(np.float32(value), name) for name, value in (("low", -2), ("high", -1))],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made


def output(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    (y,) = onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})
    (evaluated,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.array_equal(y, evaluated)
    return y.astype(int).tolist()


found = []
for name, made in (("Relu(Clip(x, -2, -1))", model(True)), ("Clip(Relu(x), -2, -1)", model(False))):
    optimized = onnxscript.optimizer.optimize(made)
    found += [output(made), output(optimized)]
    shown = [" ".join(map(str, each)) for each in found[-2:]]
    print(f"{name}   before  {shown[0]:12} after  {shown[1]:12} ({' '.join(node.op_type for node in optimized.graph.node)})")
raise SystemExit(0 if found == [[0] * 4, [-1] * 4, [-1] * 4, [-1] * 4] else 1)
PYTHON
