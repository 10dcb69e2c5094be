"""Results that are pieces of their operands' memory: where they lie, and when they are copied instead."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest

from tests.planner.networks import kernel, network
from tests.planner.test_states import Memory, planned
from tinycompile import interpreter
from tinycompile.dtypes import FLOAT32, INT8, INT64, DType
from tinycompile.ir import Graph, Node, Op, State, TensorType, verify
from tinycompile.kernels.base import Kernel
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.identity import Identity
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.transpose import Transpose
from tinycompile.passes import optimize
from tinycompile.planner.values import Values

COPY = kernel()


def piece(offset: int) -> list[Kernel]:
    """A node that can be a piece of its operand, or copy it."""
    return [kernel(alias_of=0, alias_offset=offset), COPY]


def values(offsets: dict[str, int], sizes: dict[str, int], edges: dict[str, tuple[str, ...]]) -> Values:
    graph = network(sizes, edges, [list(edges)[-1]])
    return Values(graph, [piece(offsets[node.name]) if node.name in offsets else [COPY] for node in graph.nodes])


def test_pieces_lie_in_the_whole():
    found = values({"a": 0, "b": 16}, {"x": 32, "a": 16, "b": 16, "y": 8}, {"a": ("x",), "b": ("x",), "y": ("a", "b")})
    assert (found.place("a"), found.place("b")) == (("x", 0), ("x", 16))
    assert [buffer.name for buffer in found.buffers] == ["x", "y"]


def test_a_piece_of_a_state_is_copied():
    """The next value may be written there before the piece is read; only what can't be copied is the state's memory."""
    graph = network({"x": 32, "n": 32, "a": 16, "y": 8}, {"n": ("x",), "a": ("s",), "y": ("a", "n")}, ["y"])
    types = {**graph.types, "s": graph.types["n"]}
    graph = replace(graph, types=types, states=(State("s", np.zeros(types["s"].shape, np.int8), "n"),))
    for kernels, place in ((piece(16), ("a", 0)), (piece(16)[:1], ("s", 16))):
        assert Values(graph, [[COPY], kernels, [COPY]]).place("a") == place


def test_an_operand_may_be_computed_where_others_are_copied_to():
    """One operand of a concatenation lies in its result, the state isn't moved there."""
    graph = network({"x": 16, "a": 16, "y": 32}, {"a": ("x",), "y": ("s", "a")}, ["y"])
    types = {**graph.types, "s": graph.types["a"]}
    graph = replace(graph, types=types, states=(State("s", np.zeros(types["s"].shape, np.int8), "a"),))
    graph = replace(graph, states=(replace(graph.states[0], next="x"),), inputs=("x",))
    whole, into = kernel(parts={0: 0, 1: 16}), kernel(instructions=4, parts={1: 16})
    found = Values(graph, [[COPY], [whole, into, COPY]])
    assert found.options[-1] == [into] and found.place("a") == ("a", 0)
    (of_a,) = (buffer for buffer in found.buffers if buffer.name == "a")
    assert (of_a.group, of_a.displacement) == ("y", 16)


def test_a_piece_of_a_piece():
    found = values({"a": 16, "b": 8}, {"x": 32, "a": 16, "b": 8, "y": 8}, {"a": ("x",), "b": ("a",), "y": ("b",)})
    assert found.place("b") == ("x", 24)


def test_a_small_piece_is_copied():
    """It would keep the whole in use as long as it is in use itself."""
    found = values({"a": 0}, {"x": 1000, "a": 16, "y": 8}, {"a": ("x",), "y": ("a",)})
    assert found.place("a") == ("a", 0)


def test_pieces_that_begin_between_words_are_copied():
    found = values({"a": 2}, {"x": 32, "a": 28, "y": 8}, {"a": ("x",), "y": ("a",)})
    assert found.place("a") == ("a", 0)


def test_a_piece_is_never_a_part_of_another_value():
    """What the whole has beyond the piece would lie in the next part."""
    graph = network({"x": 32, "z": 16, "a": 16, "y": 32}, {"z": ("x",), "a": ("x",), "y": ("a", "z")}, ["y"])
    join = kernel(parts={0: 0, 1: 16})
    found = Values(graph, [[COPY], [kernel(alias_of=0, alias_offset=0), COPY], [join, COPY]])
    assert found.place("a") == ("x", 0)
    assert found.options[-1] == [COPY]


def random_moves(seed: int) -> Graph:
    """Pieces, joins, other shapes and orders of one element type."""
    rng = np.random.default_rng(seed)
    dtype = (INT8, FLOAT32, INT64)[seed % 3]
    types, nodes, known = dict[str, TensorType](), list[Node](), list[str]()

    def add(op: Op | None, operands: tuple[str, ...], shape: tuple[int, ...], of: DType = dtype) -> None:
        name = f"v{len(types)}"
        types[name] = TensorType(shape, of)
        known.append(name)
        if op is not None:
            nodes.append(Node(name, op, operands, (name,)))

    add(None, (), tuple(int(n) for n in rng.choice([1, 2, 4, 6, 8], 3)))
    for _ in range(int(rng.integers(3, 14))):
        x = known[-1] if rng.random() < 0.5 else str(rng.choice(known))
        shape = types[x].shape
        match int(rng.integers(6)):
            case 0 | 1:
                axis = int(rng.integers(3))
                first = int(rng.integers(shape[axis]))
                op = Slice.of_axis(shape, axis, first, int(rng.integers(1, shape[axis] - first + 1)))
            case 2:
                op = Concatenation(int(rng.integers(3)))
                add(op, (x, x), op.infer([types[x]] * 2)[0][0])
                continue
            case 3:
                op = Reshape((shape[1], shape[0], shape[2]))
            case 4:
                op = Transpose(tuple(int(axis) for axis in rng.permutation(3)))
            case _:
                op = Identity()
        add(op, (x,), op.infer([types[x]])[0][0])
        if prod(types[known[-1]].shape) > 2000:
            break
        same = [name for name in known if types[name].shape == types[known[-1]].shape and name != known[-1]]
        if same and rng.random() < 0.5:
            op = Concatenation(0)
            pair = (known[-1], str(rng.choice(same)))
            add(op, pair, op.infer([types[name] for name in pair])[0][0])
    outputs = tuple(dict.fromkeys([known[-1], str(rng.choice(known[1:]))]))
    graph = Graph("g", (known[0],), outputs, tuple(nodes), types, {})
    verify(graph)
    return graph


@pytest.mark.parametrize("seed", range(150))
def test_nothing_is_overwritten_too_early(seed: int):
    graph = optimize(random_moves(seed).without_dead())
    if not graph.nodes:
        return
    t = graph.types[graph.inputs[0]]
    x = np.random.default_rng(seed).integers(-128, 128, t.shape).astype(t.dtype.carrier)
    expected = interpreter.run(graph, [x])
    np.testing.assert_equal(Memory(planned(graph)).step([x]), [expected[name] for name in graph.outputs])
