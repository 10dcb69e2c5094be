#!/usr/bin/env bash
# ONNX Runtime: the optimised form of an opset 13 model that it saves isn't an ONNX model any more.
#
# One would expect what `optimized_model_filepath` writes at the extended level to hold ONNX's operators of the model's
# opset, and in the domain com.microsoft what the runtime adds to them.
# What happens (onnxruntime 1.31.1, onnx 1.23.2): a written-out layer normalisation becomes LayerNormalization in ONNX's
# own domain while the file still says opset 13 (ONNX has it since 17), and a written-out root mean square normalisation
# becomes SimplifiedLayerNormalization in ONNX's own domain, which has no such operator in any version. The checker of
# onnx refuses both files; the runtime loads both.
#
# Output seen:
#   written out      saved as                       domain   opset   onnx.checker      runtime
#   layer norm       LayerNormalization             ''       13      ValidationError   runs
#   RMS norm         SimplifiedLayerNormalization   ''       13      ValidationError   runs
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.0 onnx==1.23.2 onnxruntime==1.31.1 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

onnxruntime.set_default_logger_severity(4)
FED = np.random.default_rng(1).standard_normal((2, 8)).astype(np.float32)


def written_out(centred):
    nodes, rows = [], "x"
    if centred:
        nodes = [
            helper.make_node("ReduceMean", ["x"], ["mean"], axes=[-1]),
            helper.make_node("Sub", ["x", "mean"], ["difference"]),
        ]
        rows = "difference"
    nodes += [
        helper.make_node("Pow", [rows, "two"], ["squares"]),
        helper.make_node("ReduceMean", ["squares"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", "epsilon"], ["guarded"]),
        helper.make_node("Sqrt", ["guarded"], ["deviation"]),
        helper.make_node("Div", [rows, "deviation"], ["normal"]),
    ]
    if centred:
        nodes += [
            helper.make_node("Mul", ["normal", "gamma"], ["scaled"]),
            helper.make_node("Add", ["scaled", "beta"], ["y"]),
        ]
    else:
        nodes += [helper.make_node("Mul", ["gamma", "normal"], ["y"])]
    constants = {"two": 2, "epsilon": 1e-5, "gamma": np.ones(8), **({"beta": np.zeros(8)} if centred else {})}
    graph = helper.make_graph(
        nodes,
        "norm",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, FED.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, FED.shape)],
        [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def outcome(act):
    try:
        act()
    except Exception as error:
        return type(error).__name__
    return "runs"


seen = []
with tempfile.TemporaryDirectory() as folder:
    print(f"{'written out':17}{'saved as':31}{'domain':9}{'opset':8}{'onnx.checker':18}runtime")
    for label, centred in (("layer norm", True), ("RMS norm", False)):
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = f"{folder}/{centred}.onnx"
        onnxruntime.InferenceSession(written_out(centred).SerializeToString(), options)
        saved = onnx.load(options.optimized_model_filepath)
        (node,) = saved.graph.node
        (opset,) = [o.version for o in saved.opset_import if o.domain == ""]
        checked = outcome(lambda: onnx.checker.check_model(saved))
        ran = outcome(lambda: onnxruntime.InferenceSession(saved.SerializeToString()).run(None, {"x": FED}))
        seen.append((node.op_type, node.domain, opset, checked, ran))
        print(f"{label:17}{node.op_type:31}{node.domain!r:9}{opset:<8}{checked:18}{ran}")
kinds = "LayerNormalization", "SimplifiedLayerNormalization"
sys.exit(seen != [(kind, "", 13, "ValidationError", "runs") for kind in kinds])
PYTHON
