"""WhileLoop: as Python's, whatever is carried; turns that follow from what is known. Against LiteRT:
tests/frontend/test_tflite_control.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.regions import COUNT, GRAPHS, VECTOR, graph_of, loop, random_inputs, swap
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.ops import while_loop
from tinycompile.ops.while_loop import turns_of


def test_as_pythons() -> None:
    graph, op = GRAPHS["swap"], swap()
    for seed in range(5):
        i, a, b = random_inputs(graph, seed)
        values = interpreter.run(graph, [i, a, b])
        while i[0] < 3:
            (i, a, b) = (interpreter.run(op.body, [i, a, b])[name] for name in op.body.outputs)
        np.testing.assert_equal([values[name] for name in graph.outputs], [i, a, b])


def test_turns_that_are_known() -> None:
    op, (two, five) = loop(), (np.array([n], np.int32) for n in (2, 5))
    assert turns_of(op.condition, op.body, [two, None, five, None]) == 3
    assert turns_of(op.condition, op.body, [five, None, two, None]) == 0
    assert turns_of(op.condition, op.body, [two, None, None, None]) is None
    (graph,) = (GRAPHS["loop"],)
    sig = graph.signature(graph.nodes[0])
    assert replace(op, turns=3).macs(sig) == 3 * op.macs(sig) == 3 * 64


def test_what_contradicts_itself() -> None:
    op, operands = loop(), (COUNT, VECTOR, COUNT, VECTOR)
    assert [shape for shape, _ in op.infer(operands)] == [(1,), (1, 8)]
    with pytest.raises(ValueError, match="the condition takes"):
        op.infer(operands[::-1])
    with pytest.raises(ValueError, match="it has to be one bool"):
        replace(op, condition=op.body).infer(operands)
    given = {"i": COUNT, "v": VECTOR, "limit": COUNT, "w": VECTOR}
    with pytest.raises(ValueError, match="the body makes"):
        replace(op, body=graph_of([], given, {"w": VECTOR})).infer(operands)


def test_one_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(while_loop, "MOST_TURNS", 100)
    graph = GRAPHS["loop"]
    inputs = random_inputs(graph, 0)
    inputs[2] = np.array([1000], np.int32)
    with pytest.raises(UnsupportedError, match="more than 100 turns"):
        interpreter.run(graph, inputs)
