#!/usr/bin/env bash
# onnxruntime 1.31.1: trees with two classes that both have weights: the label is 0 or 1 by the second score's sign alone.
#
# Expected: TreeEnsembleClassifier's label is the class with the highest score, one of classlabels_int64s, as for three classes.
# Seen: with scores 0.9 and 0.1 the label is the second class; with labels 10 and 20 it is 1, which is neither. The first score
# isn't looked at, nor are the labels. A forest of votes or probabilities written by hand or by a tool of one's own, with
# weights for both classes, so answers "second class" for nearly everything; the scores beside the label are right. Converters
# hide it: they write weights for one class of two, for which there is a rule of its own.
#
# Output seen (labels, scores, label):
#   [0, 1] [0.9, 0.1] 1
#   [10, 20] [0.9, 0.1] 1
#   [10, 20] [0.9, -0.1] 0
#   [10, 20, 30] [0.7, 0.2, 0.1] 10
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


def label(labels, scores):
    """Of a tree with one test, both of whose leaves have these scores."""
    count = len(labels)
    node = helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml",
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"],
        nodes_featureids=[0, 0, 0], nodes_values=[0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        class_treeids=[0] * 2 * count, class_nodeids=[1] * count + [2] * count, class_ids=[*range(count)] * 2,
        class_weights=scores * 2, classlabels_int64s=labels, post_transform="NONE",
    )  # fmt: skip
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1])
    results = [
        helper.make_tensor_value_info("label", TensorProto.INT64, None),
        helper.make_tensor_value_info("scores", TensorProto.FLOAT, None),
    ]
    versions = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    model = helper.make_model(helper.make_graph([node], "g", [x], results), opset_imports=versions, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found, values = session.run(None, {"x": np.zeros((1, 1), np.float32)})
    assert np.allclose(values, scores)
    print(labels, scores, found.item())
    return found.item()


CASES = (([0, 1], [0.9, 0.1]), ([10, 20], [0.9, 0.1]), ([10, 20], [0.9, -0.1]), ([10, 20, 30], [0.7, 0.2, 0.1]))
raise SystemExit(0 if [label(*case) for case in CASES] == [1, 1, 0, 10] else 1)
PYTHON
