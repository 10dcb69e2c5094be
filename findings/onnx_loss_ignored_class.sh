#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: NegativeLogLikelihoodLoss with ignore_index=-1 divides by the ignored samples, too.
#
# Expected: a mean over the samples that aren't ignored (the standard's text, PyTorch), whatever number marks these. The standard allows
# numbers outside of the classes, and -1 is a usual mark beside PyTorch's default of -100. onnxruntime 1.31.1 computes this mean for each.
# Seen: the evaluator does so for -100 and for a class (2), and for -1 divides by all. SoftmaxCrossEntropyLoss, in the same evaluator, doesn't.
#
# Output seen (losses 1 and 14 beside an ignored one; evaluator, onnxruntime):
#   ignore_index   NegativeLogLikelihoodLoss   sum
#   -100           7.5  7.5                    15  15
#   -1             5.0  7.5                    15  15
#   2              7.5  7.5                    15  15
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper
from onnx.reference import ReferenceEvaluator

X = -np.arange(15, dtype=np.float32).reshape(3, 5)


def losses(ignored, reduction):
    graph = helper.make_graph(
        [helper.make_node("NegativeLogLikelihoodLoss", ["x", "t"], ["y"], reduction=reduction, ignore_index=ignored)],
        "graph",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 5]),
            helper.make_tensor_value_info("t", TensorProto.INT64, [3]),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    fed = {"x": X, "t": np.array([1, ignored, 4], np.int64)}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return [float(run(None, fed)[0]) for run in (ReferenceEvaluator(model).run, session.run)]


found = {}
print("ignore_index   NegativeLogLikelihoodLoss   sum")
for ignored in (-100, -1, 2):
    mean, total = losses(ignored, "mean"), losses(ignored, "sum")
    found[ignored] = mean + total
    print(f"{ignored:<14} {mean[0]}  {mean[1]:<22} {total[0]:g}  {total[1]:g}")
raise SystemExit(found != {-100: [7.5, 7.5, 15, 15], -1: [5, 7.5, 15, 15], 2: [7.5, 7.5, 15, 15]})
PYTHON
