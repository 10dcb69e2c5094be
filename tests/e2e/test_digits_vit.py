"""`examples/digits_vit`: attention in int8 without a layer in float32."""

from __future__ import annotations

import numpy as np

from tests.conftest import ROOT
from tinycompile import interpreter
from tinycompile.frontend import load

FOLDER = ROOT / "examples" / "digits_vit"


def test_the_quantised_model_recognises_digits():
    graph = load(FOLDER / "digits_vit_int8.onnx")
    floats = [node for node in graph.nodes if graph.types[node.outputs[0]].dtype.name == "float32"]
    assert {node.op.kind for node in floats} <= {"dequantize", "reshape"}, "at its output"
    data = np.load(FOLDER / "digits_vit_test.npz")
    chosen = range(0, len(data["y"]), 16)
    shape = graph.types[graph.inputs[0]].shape
    found = [interpreter.run(graph, [data["x"][i].reshape(shape)])[graph.outputs[0]].argmax() for i in chosen]
    assert np.sum(found == data["y"][chosen]) >= 22, "of 24"
