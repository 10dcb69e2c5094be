#!/usr/bin/env bash
# onnxruntime 1.31.1: Mod with fmod=1 of int64 goes through double: remainders of numbers above 2^53 are wrong, without it right.
#
# Expected: Mod of integers is exact; fmod=1 only changes the sign of the result (C's instead of Python's), as the standard allows
# for integers. Hashes, counters of nanoseconds and packed fields live above 2^53.
# Seen: (2^53 + 1) mod 2 is 0 with fmod=1 and 1 without; uint64 likewise. onnx's reference evaluator is right both times.
#
# Output seen:
#   fmod=0: onnxruntime [1, 7, 5], reference evaluator [1, 7, 5]
#   fmod=1: onnxruntime [0, 4, -1], reference evaluator [1, 7, -2]
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
from onnx.reference import ReferenceEvaluator

feed = {"a": np.array([2**53 + 1, 2**62 + 3, -(2**60 + 1)], np.int64), "b": np.array([2, 10, 7], np.int64)}
seen = []
for fmod in (0, 1):
    a, b, c = (helper.make_tensor_value_info(name, TensorProto.INT64, [3]) for name in "abc")
    graph = helper.make_graph([helper.make_node("Mod", ["a", "b"], ["c"], fmod=fmod)], "g", [a, b], [c])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    runtime, evaluator = (run(None, feed)[0].tolist() for run in (session.run, ReferenceEvaluator(model).run))
    print(f"fmod={fmod}: onnxruntime {runtime}, reference evaluator {evaluator}")
    seen += [runtime, evaluator]
raise SystemExit(0 if seen == [[1, 7, 5], [1, 7, 5], [0, 4, -1], [1, 7, -2]] else 1)
PYTHON
