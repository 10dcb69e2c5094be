#!/usr/bin/env bash
# ONNX Runtime: Attention refuses the usual padding mask, one row for all queries.
#
# One would expect any attn_mask that broadcasts to (batch, heads, queries, keys): so says the operator (opset 23), and (1, 1, 1, keys)
# is what a mask of padded tokens is; exporters of PyTorch write it.
# What happens (onnxruntime 1.31.1): a mask whose axis of queries is 1 fails when it runs, of booleans or floats, in rank 2 as in rank 4.
# Masks that broadcast over batch or heads are taken. onnx 1.23.2's reference evaluator computes all of them.
#
# Output seen:
#   mask [3, 3]        onnxruntime ok, reference ok
#   mask [1, 1, 3, 3]  onnxruntime ok, reference ok
#   mask [1, 3]        onnxruntime raises, reference ok
#   mask [1, 1, 1, 3]  onnxruntime raises, reference ok
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)
fed = {name: np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32) for name in "qkv"}


def outcome(run):
    try:
        run()
    except Exception:
        return "raises"
    return "ok"


seen = []
for shape in ([3, 3], [1, 1, 3, 3], [1, 3], [1, 1, 1, 3]):
    mask = np.ones(shape, bool)
    mask[..., -1] = False
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, 3, 4]) for name in "qkv"]
    graph = helper.make_graph(
        [helper.make_node("Attention", ["q", "k", "v", "mask"], ["y"])],
        "graph",
        [*inputs, helper.make_tensor_value_info("mask", TensorProto.BOOL, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=11)
    all_fed = {**fed, "mask": mask}
    seen.append(
        (
            outcome(lambda: onnxruntime.InferenceSession(model.SerializeToString()).run(None, all_fed)),
            outcome(lambda: ReferenceEvaluator(model).run(None, all_fed)),
        )
    )
    print(f"mask {shape!s:<14}onnxruntime {seen[-1][0]}, reference {seen[-1][1]}")
sys.exit(seen != [("ok", "ok"), ("ok", "ok"), ("raises", "ok"), ("raises", "ok")])
PYTHON
