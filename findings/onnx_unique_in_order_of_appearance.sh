#!/usr/bin/env bash
# onnx 1.23.2's reference evaluator: Unique with sorted=0 sorts if it has one result, and raises for a matrix if it has all four.
#
# Expected: sorted=0 gives the values in the order in which they first appear, as numbers of classes or tokens are assigned: 3, 1, 2 of
# 3 1 2 1 (onnxruntime 1.31.1).
# Seen: with one result asked for, the evaluator gives 1 2 3, as for sorted=1. With all four a list of numbers is right; a
# matrix, which is flattened where no axis is given, is asked for rows by indices of its elements: an IndexError.
#
# Output seen (evaluator; onnxruntime):
#   3 1 2 1, one result     1 2 3        3 1 2
#   3 1 2 1, four results   3 1 2        3 1 2
#   (3 1) (2 1), four       IndexError   3 1 2
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


def values(x, results):
    names = ["y", "first", "inverse", "counts"][:results]
    types = [TensorProto.FLOAT] + [TensorProto.INT64] * 3
    graph = helper.make_graph(
        [helper.make_node("Unique", ["x"], names, sorted=0)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info(name, kind, [f"n_{name}"]) for name, kind in zip(names, types)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    checker.check_model(model, full_check=True)
    found = []
    for run in (ReferenceEvaluator(model).run, onnxruntime.InferenceSession(model.SerializeToString()).run):
        try:
            found.append(" ".join(f"{value:g}" for value in run(None, {"x": x})[0]))
        except IndexError as error:
            found.append(type(error).__name__)
    return found


table = []
for numbers, results, name in (
    ([3, 1, 2, 1], 1, "3 1 2 1, one result"),
    ([3, 1, 2, 1], 4, "3 1 2 1, four results"),
    ([[3, 1], [2, 1]], 4, "(3 1) (2 1), four"),
):
    table.append(values(np.array(numbers, np.float32), results))
    print(f"{name:23} {table[-1][0]:12} {table[-1][1]}")
raise SystemExit(table != [["1 2 3", "3 1 2"], ["3 1 2", "3 1 2"], ["IndexError", "3 1 2"]])
PYTHON
