"""Conditional: one of its graphs. Against LiteRT: tests/frontend/test_tflite_control.py."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.regions import COUNT, GOING, GRAPHS, VECTOR, branches, graph_of, random_inputs
from tinycompile import interpreter
from tinycompile.ops.elementwise_function import ElementwiseFunction


def test_one_of_its_graphs() -> None:
    graph, op = GRAPHS["branches"], branches()
    for seed in range(8):
        chosen, *inputs = random_inputs(graph, seed)
        taken = op.then if chosen.any() else op.otherwise
        values, inside = interpreter.run(graph, [chosen, *inputs]), interpreter.run(taken, inputs)
        np.testing.assert_equal([values[n] for n in graph.outputs], [inside[n] for n in taken.outputs])


def test_what_contradicts_itself() -> None:
    op, operands = branches(), (GOING, VECTOR, VECTOR)
    assert [shape for shape, _ in op.infer(operands)] == [(1, 8), (1, 8)]
    with pytest.raises(ValueError, match="a branch takes"):
        op.infer(operands[:2])
    with pytest.raises(ValueError, match="the condition is int32"):
        op.infer((COUNT, VECTOR, VECTOR))
    given = {"v": VECTOR, "w": VECTOR}
    with pytest.raises(ValueError, match="different results"):
        replace(op, otherwise=graph_of([], given, {"w": VECTOR})).infer(operands)


def test_a_node_inside_that_cannot_be_compiled() -> None:
    given = {"v": VECTOR, "w": VECTOR}
    inside = graph_of([(ElementwiseFunction("erf"), "v", "x"), (ElementwiseFunction("erf"), "w", "y")], given, {})
    op = replace(branches(), then=replace(inside, types={**inside.types, "x": COUNT, "y": COUNT}))
    graph = GRAPHS["branches"]
    assert "'n0' inside: " in str(op.unsupported(graph.signature(graph.nodes[0])))
