"""`examples/kws_transformer`: words by attention in int8."""

from __future__ import annotations

import numpy as np

from tests.conftest import ROOT
from tinycompile import interpreter
from tinycompile.frontend import load

FOLDER = ROOT / "examples" / "kws_transformer"


def test_the_quantised_model_recognises_words() -> None:
    graph = load(FOLDER / "kws_transformer_int8.onnx")
    floats = [node for node in graph.nodes if graph.types[node.outputs[0]].dtype.name == "float32"]
    assert {node.op.kind for node in floats} <= {"dequantize", "reshape"}, "at its output"
    data = np.load(FOLDER / "kws_transformer_test.npz")
    chosen = range(0, len(data["y"]), 12)
    shape = graph.types[graph.inputs[0]].shape
    found = [interpreter.run(graph, [data["x"][i].reshape(shape)])[graph.outputs[0]].argmax() for i in chosen]
    assert np.sum(found == data["y"][chosen]) >= 8, "of 10"
