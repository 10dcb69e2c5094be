#!/usr/bin/env bash
# onnxoptimizer 0.4.2, onnxsim 0.8.1 and onnxslim 0.1.98: two random tensors of a model become one.
#
# Expected: equal nodes with equal operands give equal results, so one of them may go. Random operators are the exception: without a
# seed each draws numbers of its own (ONNX: "If not specified we will auto generate one").
# Seen: elimination of common subexpressions knows no such exception. The difference of two draws, which is noise of mean 0 before, is
# 0 everywhere afterwards. It is a quiet change: shapes, ranges and each tensor's distribution are right. Noise layers, the two
# normal numbers of a Box-Muller transform, stochastic rounding and augmentation inside of a model are built this way.
# onnxoptimizer and onnxsim do it for RandomNormal and RandomUniformLike, onnxslim for the latter. onnxsim's own check of outputs compares
# nothing unless asked to. onnxscript 0.7.2's optimiser keeps both nodes.
#
# Output seen (elements other than 0 of 100 differences between two draws):
#                      RandomNormal   RandomUniformLike
#   as written                  100                 100
#   onnxoptimizer                 0                   0
#   onnxsim                       0                   0
#   onnxslim                    100                   0
#   onnxscript                  100                 100
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxoptimizer==0.4.2 onnxsim==0.8.1 onnxslim==0.1.98 \
    onnxscript==0.7.2 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxoptimizer
import onnxruntime
import onnxscript.optimizer
import onnxsim
import onnxslim
from onnx import TensorProto, checker, helper


def model(operator, operands, **attributes):
    graph = helper.make_graph(
        [
            helper.make_node(operator, operands, ["a"], **attributes),
            helper.make_node(operator, operands, ["b"], **attributes),
            helper.make_node("Sub", ["a", "b"], ["noise"]),
            helper.make_node("Mul", ["noise", "x"], ["y"]),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [100])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [100])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made


def different(model):
    (y,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": np.ones(100, np.float32)})
    return int(np.count_nonzero(y))


tools = {
    "as written": lambda model: model,
    "onnxoptimizer": onnxoptimizer.optimize,
    "onnxsim": lambda model: onnxsim.simplify(model)[0],
    "onnxslim": onnxslim.slim,
    "onnxscript": onnxscript.optimizer.optimize,
}
found = {}
print(f"{'':18} RandomNormal   RandomUniformLike")
for name, tool in tools.items():
    found[name] = [
        different(tool(model("RandomNormal", [], shape=[100]))) > 0,
        different(tool(model("RandomUniformLike", ["x"]))) > 0,
    ]
    print(f"{name:18} {found[name][0] * 100:12} {found[name][1] * 100:19}")
wanted = [[True, True], [False, False], [False, False], [True, False], [True, True]]
raise SystemExit(0 if list(found.values()) == wanted else 1)
PYTHON
