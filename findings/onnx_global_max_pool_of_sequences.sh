#!/usr/bin/env bash
# onnx 1.23.2: the reference evaluator's GlobalMaxPool of a sequence takes the maximum over the wrong axes.
#
# Expected: GlobalMaxPool of (N, C, L) is the maximum over L, of shape (N, C, 1); the operator's text says that for all
# numbers of dimensions, and the evaluator is meant to be the definition. onnxruntime 1.31.1 computes that.
# Seen: the evaluator reduces axes 1 and 2, channels included: a result of shape (1, 1), without a message. In 2-D it is
# right, and onnx's own node tests have only that. Whoever checks a 1-D network (sound, sensors) with it gets wrong values.
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np, onnx, onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

x = np.arange(12, dtype=np.float32).reshape(1, 3, 4)
values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 3, 4)), ("y", (1, 3, 1)))]
graph = helper.make_graph([helper.make_node("GlobalMaxPool", ["x"], ["y"])], "g", values[:1], values[1:])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
onnx.checker.check_model(model, full_check=True)
(evaluator,) = ReferenceEvaluator(model).run(None, {"x": x})
(runtime,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
print("onnx", onnx.__version__, evaluator.shape, evaluator.ravel().tolist())
print("onnxruntime", onnxruntime.__version__, runtime.shape, runtime.ravel().tolist())
assert runtime.shape == (1, 3, 1) and runtime.ravel().tolist() == [3, 7, 11]
raise SystemExit(0 if evaluator.shape == (1, 1) and evaluator.ravel().tolist() == [11] else 1)
PYTHON
