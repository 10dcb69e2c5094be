"""A state that is joined with new rows, of which the last ones are kept, is a line that moves on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Graph, Node, Op, State, TensorType, verify
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.relu import Relu
from tinycompile.ops.slice import Slice
from tinycompile.ops.take import Take
from tinycompile.passes.roll_states import roll_states

ROWS, NEW = (2, 5, 3), (2, 2, 3)


def graph(last: Op, axis: int = 1) -> Graph:
    """h: five rows. y: relu of these and two new ones, of which five are kept."""
    joined = tuple(n + m if at == axis else n for at, (n, m) in enumerate(zip(ROWS, NEW, strict=True)))
    shapes = {"h": ROWS, "x": NEW, "j": joined, "y": joined, "next": ROWS}
    nodes = (
        Node("join", Concatenation(axis), ("h", "x"), ("j",)),
        Node("relu", Relu(), ("j",), ("y",)),
        Node("last", last, ("j",), ("next",)),
    )
    states = (State("h", np.linspace(-3, 3, 30, dtype=np.float32).reshape(ROWS), "next"),)
    types = {name: TensorType(shape, FLOAT32) for name, shape in shapes.items()}
    found = Graph("g", ("x",), ("y",), nodes, types, {}, states=states)
    verify(found)
    return found


def kinds(found: Graph) -> list[str]:
    return [node.op.kind for node in found.nodes]


@pytest.mark.parametrize("last", [Slice.of_axis((2, 7, 3), 1, 2, 5), Take(1, (2, 3, 4, 5, 6))], ids=["slice", "take"])
def test_a_line(last: Op) -> None:
    before = graph(last)
    after = roll_states(before)
    verify(after)
    assert kinds(after) == ["delay_line", "relu"]
    assert [state.initial.shape for state in after.states] == [(2, 7, 3)]
    rng = np.random.default_rng(0)
    steps = [[rng.standard_normal(NEW).astype(np.float32)] for _ in range(5)]
    for one, other in zip(interpreter.steps(before, steps), interpreter.steps(after, steps), strict=True):
        np.testing.assert_array_equal(one["y"], other["y"])


def test_what_is_something_else() -> None:
    """The first rows, every second one, a state that is read elsewhere, new rows in front."""
    line = graph(Take(1, (2, 3, 4, 5, 6)))
    front = replace(line.nodes[0], inputs=("x", "h"))
    others = [
        graph(Slice.of_axis((2, 7, 3), 1, 0, 5)),
        graph(Take(1, (2, 3, 4, 6, 5))),
        replace(line, outputs=("y", "h")),
        replace(line, nodes=(front, *line.nodes[1:])),
    ]
    for other in others:
        verify(other)
        assert roll_states(other) is other
