#!/usr/bin/env bash
# onnx: the reference evaluator's BatchNormalization of opsets 9 to 13 normalises by the statistics of the batch it is given.
#
# One would expect inference: these versions of the operator have no training_mode, and with one output their text says that
# the stored mean and variance are used, as ONNX Runtime does.
# What happens (onnx 1.23.2): the evaluator mixes the input's own mean and variance into the stored ones, by the momentum's
# default of 0.9, and normalises by the mixture. So an old file's results depend on what else is in the batch, and
# differ from every runtime's. The same node at opset 14 and later is right. Who takes the evaluator for an oracle must
# convert old files first (onnx.version_converter).
#
# Output seen:
#   opset   ONNX Runtime   reference   (mean of the output; 4.658 is the input's)
#   9       4.658          3.520
#   13      4.658          3.520
#   14      4.658          4.658
#   22      4.658          4.658
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check \
  numpy==2.4.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(3)
batch = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32) * 3 + 5
identity = {"scale": np.ones(3), "bias": np.zeros(3), "mean": np.zeros(3), "variance": np.ones(3)}
means = {}
print("opset   ONNX Runtime   reference")
for opset in (9, 13, 14, 22):
    graph = helper.make_graph(
        [helper.make_node("BatchNormalization", ["x", *identity], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, batch.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in identity.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    runtime = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": batch})[0]
    reference = ReferenceEvaluator(model).run(None, {"x": batch})[0]
    means[opset] = [round(float(result.mean()), 3) for result in (runtime, reference)]
    print(f"{opset:<8}{means[opset][0]:<15}{means[opset][1]}")
stored = round(float(batch.mean()), 3)
wrong = all(means[opset][0] == stored and abs(means[opset][1] - stored) > 0.5 for opset in (9, 13))
right = all(abs(value - stored) < 0.002 for opset in (14, 22) for value in means[opset])
sys.exit(not (wrong and right))
PYTHON
