#!/usr/bin/env bash
# onnx 1.23.2 and onnxruntime 1.31.1: three answers to a Loop with a trip count and no condition, none of them the standard's.
#
# Expected: with a trip count and "" for the condition, Loop is a for loop: the schema shows `for (i < trip_count)` and says that
# the condition, which the body has to yield all the same, is ignored. Adding 1 ten times to 0 gives 10.
# Seen: onnxruntime stops when the body's condition becomes false: 3. onnx's reference evaluator doesn't begin: 0. It does with
# a condition of "true". Converters write the body's condition as a constant true, where only the evaluator is wrong; a loop
# written by hand whose body computes its condition has a result for each runtime.
#
# Output seen:
#   onnxruntime 3.0, reference evaluator 0.0, the schema's table 10.0
#   the body yields true: onnxruntime 10.0, reference evaluator 0.0
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


def results(limit):
    """Of ten rounds that add 1, whose body yields whether the sum is below `limit`."""

    def scalar(name, kind=TensorProto.FLOAT):
        return helper.make_tensor_value_info(name, kind, [])

    nodes = [helper.make_node("Add", ["sum", "one"], ["next"]), helper.make_node("Less", ["next", "limit"], ["go_on"])]
    inputs = [scalar("round", TensorProto.INT64), scalar("condition", TensorProto.BOOL), scalar("sum")]
    body = helper.make_graph(nodes, "body", inputs, [scalar("go_on", TensorProto.BOOL), scalar("next")])
    constants = [
        helper.make_tensor("count", TensorProto.INT64, [], [10]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("limit", TensorProto.FLOAT, [], [limit]),
    ]
    loop = helper.make_node("Loop", ["count", "", "x"], ["y"], body=body)
    graph = helper.make_graph([loop], "g", [scalar("x")], [scalar("y")], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {"x": np.array(0, np.float32)}
    return [np.asarray(run(None, feed)[0]).item() for run in (session.run, ReferenceEvaluator(model).run)]


table = onnx.defs.get_schema("Loop", 21).doc
computed, always = results(3.0), results(100.0)
print(f"onnxruntime {computed[0]}, reference evaluator {computed[1]}, the schema's table 10.0")
print(f"the body yields true: onnxruntime {always[0]}, reference evaluator {always[1]}")
same = computed == [3.0, 0.0] and always == [10.0, 0.0] and "analogous to a for loop" in table and "ignored" in table
raise SystemExit(0 if same else 1)
PYTHON
