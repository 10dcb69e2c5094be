#!/usr/bin/env bash
# onnxoptimizer 0.4.2: a Pad in front of a pool becomes the pool's own padding, which is another number.
#
# Expected: optimize() keeps what a model computes. Pad adds zeros that are pixels like others; the padding of MaxPool is below
# every number, and AveragePool doesn't count its own unless count_include_pad is 1.
# Seen: fuse_pad_into_pool, one of the default passes, moves Pad's zeros into `pads` of MaxPool: the maximum at the border of an image
# of negative numbers is negative, where it was 0. Before an AveragePool that has pads of its own it also sets count_include_pad,
# so that zeros are counted which weren't. The shape stays, nothing is said. Behind a Relu the first is hidden.
# onnxsim 0.8.1, which has such passes, too, keeps both results. onnxruntime 1.31.1 makes the first mistake itself unless its
# optimisations are off, as they are here.
#
# Output seen (-1 -2 -3 -4, Pad by one on both sides, a window of 3):
#   MaxPool                  before  0 -1 -2 0            after  -1 -1 -2 -3
#   AveragePool with pads    before  -0.5 -1 -2 -3 -2.33 -2   after  -0.33 -1 -2 -3 -2.33 -1.33
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnxoptimizer==0.4.2 onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.0 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxoptimizer
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper

x = -np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4)


def model(pool, length, **attributes):
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "by"], ["padded"]),
            helper.make_node(pool, ["padded"], ["y"], kernel_shape=[3], **attributes),
        ],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, length])],
        [numpy_helper.from_array(np.array([0, 0, 1, 0, 0, 1]), "by")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(made, full_check=True)
    return made


def output(model):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # it makes the first mistake itself
    return onnxruntime.InferenceSession(model.SerializeToString(), options).run(None, {"x": x})[0].ravel().round(2).tolist()


found = []
for name, made in (("MaxPool", model("MaxPool", 4)), ("AveragePool with pads", model("AveragePool", 6, pads=[1, 1]))):
    before, after = output(made), output(onnxoptimizer.optimize(made))
    print(f"{name:24} before  {' '.join(f'{each:g}' for each in before):24} after  {' '.join(f'{each:g}' for each in after)}")
    found += [before, after]
raise SystemExit(0 if found[:2] == [[0, -1, -2, 0], [-1, -1, -2, -3]] and found[2] != found[3] else 1)
PYTHON
