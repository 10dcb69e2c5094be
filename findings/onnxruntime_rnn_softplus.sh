#!/usr/bin/env bash
# ONNX Runtime: the activation Softplus of RNN, GRU and LSTM overflows; the operator Softplus doesn't.
#
# One would expect the same function under the same name: log(1 + exp(x)), which is x for large x.
# What happens (onnxruntime 1.31.1): inside of a recurrent operator it is computed as written, so from about 89 on the
# exponential overflows and the state is infinite (in an LSTM, where infinities meet 0, NaN soon after); the operator
# Softplus of the same release returns x.
#
# Output seen:
#   input     operator  in RNN
#   1.0       1.3133    1.3133
#   50.0      50.0      50.0
#   100.0     100.0     inf
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(3)


def session(node, constants, shape):
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    return onnxruntime.InferenceSession(model.SerializeToString())


one, zero = np.ones((1, 1, 1), np.float32), np.zeros((1, 1, 1), np.float32)
inside = session(
    helper.make_node("RNN", ["x", "W", "R"], ["y"], hidden_size=1, activations=["Softplus"]),
    {"W": one, "R": zero},
    [1, 1, 1],
)
alone = session(helper.make_node("Softplus", ["x"], ["y"]), {}, [1, 1, 1])
table = {}
print("input     operator  in RNN")
for value in (1.0, 50.0, 100.0):
    fed = {"x": one * np.float32(value)}
    table[value] = [round(float(s.run(None, fed)[0].ravel()[0]), 4) for s in (alone, inside)]
    print(f"{value:<10}{table[value][0]:<10}{table[value][1]}")
sys.exit(table != {1.0: [1.3133, 1.3133], 50.0: [50.0, 50.0], 100.0: [100.0, float("inf")]})
PYTHON
