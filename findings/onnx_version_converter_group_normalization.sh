#!/usr/bin/env bash
# onnx 1.23.2: raising GroupNormalization from opset 18 to 21 makes a model that doesn't load.
#
# Expected: until opset 20 scale and bias have an element for each group, from 21 on one for each channel. A converter repeats each as many
# times as a group has channels, or refuses the model, as it does on the way down ("no adapter"). The checker calls the old form deprecated,
# so a converter is where one turns.
# Seen: the node is taken over as it is, and the checker passes the result, shape inference included. onnxruntime 1.31.1 refuses to load it,
# and where there is one channel in a group nothing is wrong, so that small tests pass.
#
# Output seen (groups, channels: before, after):
#   2 of 4: computed, refused
#   4 of 4: computed, the same
#   21 to 18: no adapter
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check onnx==1.23.2 onnxruntime==1.31.1 numpy==2.4.6 2>/dev/null
"$folder/venv/bin/python" - 2>"$folder/log" <<'PYTHON' || { tail -5 "$folder/log" >&2; exit 1; }
import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper, version_converter
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

X = np.random.default_rng(0).normal(size=(1, 4, 3)).astype(np.float32)
onnxruntime.set_default_logger_severity(4)


def model(groups, opset, length):
    constants = {"scale": np.arange(1, 1 + length, dtype=np.float32), "bias": np.arange(length, dtype=np.float32)}
    graph = helper.make_graph(
        [helper.make_node("GroupNormalization", ["x", "scale", "bias"], ["y"], num_groups=groups)],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, X.shape)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def computed(model):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": X})[0]


found = []
for groups in (2, 4):
    made = model(groups, 18, groups)
    before, raised = computed(made), version_converter.convert_version(made, 21)
    checker.check_model(raised, full_check=True)
    try:
        after = "the same" if np.allclose(before, computed(raised), atol=1e-5) else "another"
    except Fail:
        after = "refused"
    print(f"{groups} of 4: computed, {after}")
    found.append(after)
try:
    version_converter.convert_version(model(2, 21, 4), 18)
    found.append("converted")
except RuntimeError as error:
    found.append("no adapter" if "No Adapter" in str(error) else str(error))
print("21 to 18:", found[-1])
raise SystemExit(found != ["refused", "the same", "no adapter"])
PYTHON
