"""A copy: against LiteRT where a model's output is an input or a constant."""

from __future__ import annotations

import numpy as np

from tests.support.litert import run
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import verify
from tinycompile.passes.own_outputs import own_outputs


def test_outputs_that_are_something_else():
    b = TfliteBuilder()
    x, c = b.tensor((1, 4), 0.5), b.constant(np.arange(4, dtype=np.int8), 0.5)
    model = b.build([x], [x, c, x])
    graph = own_outputs(import_tflite(model, "m", "m.tflite"))
    verify(graph, "own_outputs")
    assert [node.op.kind for node in graph.nodes] == ["identity"] * 3
    value = np.array([[1, -2, 3, -128]], np.int8)
    values, expected = interpreter.run(graph, [value]), run(model, [value])
    for name in graph.outputs:
        np.testing.assert_array_equal(values[name], expected[graph.sources[name].index])
