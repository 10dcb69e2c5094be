#!/usr/bin/env bash
# onnxruntime 1.31.1: what looks like a layer normalisation becomes one: exponents other than 2, and mean - x for x - mean.
#
# Expected: optimisation replaces (x - mean) / sqrt(mean((x - mean)^2) + epsilon) * scale + bias by LayerNormalization, and nothing else.
# Seen: the pattern is compared by operators alone. Pow's exponent isn't looked at: a normalisation by the fourth moment, or by
# sqrt(mean(x - mean) + epsilon) with an exponent of 1, is computed with 2. Nor is the order of Sub's operands: (mean - x) / deviation comes out
# with the opposite sign. It happens from ORT_ENABLE_EXTENDED on (the default is ORT_ENABLE_ALL), without a message.
# Root mean square normalisation, whose pattern is a shorter one, isn't mistaken this way.
#
# Output seen (of 1, 2, 3, 6; epsilon 0.1):
#   form               not optimised               by default
#   exponent 2         -1.05 -0.53 0.00 1.58       -1.05 -0.53 0.00 1.58
#   exponent 4         -0.40 -0.20 0.00 0.60       -1.05 -0.53 0.00 1.58
#   mean - x           1.05 0.53 0.00 -1.58        -1.05 -0.53 0.00 1.58
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

LEVELS = onnxruntime.GraphOptimizationLevel


def run(nodes, constants, x, result, level, kind=TensorProto.FLOAT):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", kind, x.shape)],
        [helper.make_tensor_value_info("y", kind, result)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0]


def normalised(exponent, difference, level):
    nodes = [
        helper.make_node("ReduceMean", ["x", "axis"], ["mean"]),
        helper.make_node("Sub", difference, ["d"]),
        helper.make_node("Pow", ["d", "exponent"], ["power"]),
        helper.make_node("ReduceMean", ["power", "axis"], ["moment"]),
        helper.make_node("Add", ["moment", "epsilon"], ["raised"]),
        helper.make_node("Sqrt", ["raised"], ["deviation"]),
        helper.make_node("Div", ["d", "deviation"], ["n"]),
        helper.make_node("Mul", ["n", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "bias"], ["y"]),
    ]
    one = np.ones(4, np.float32)
    constants = {"axis": [-1], "exponent": np.float32(exponent), "epsilon": np.float32(0.1), "scale": one, "bias": 0 * one}
    return run(nodes, constants, np.array([[1, 2, 3, 6]], np.float32), [1, 4], level)[0]


plain = normalised(2, ["x", "mean"], LEVELS.ORT_DISABLE_ALL)
wrong = []
print(f"{'form':18} {'not optimised':27} by default")
for name, exponent, difference in (
    ("exponent 2", 2, ["x", "mean"]),
    ("exponent 4", 4, ["x", "mean"]),
    ("mean - x", 2, ["mean", "x"]),
):
    right, got = (normalised(exponent, difference, level) for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL))
    print(f"{name:18} {' '.join(f'{each:.2f}' for each in right):27} {' '.join(f'{each:.2f}' for each in got)}")
    assert np.allclose(got, plain, atol=1e-5), "the default isn't layer normalisation"
    wrong.append(not np.allclose(right, got, atol=1e-3))
raise SystemExit(0 if wrong == [False, True, True] else 1)
PYTHON
