"""States: memory that survives a step, which the next value takes over where nobody needs the old one any more."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.planner.networks import kernel, network
from tests.support.cores import core_named
from tests.support.random_states import sequence, with_states
from tests.support.svdf_models import SvdfForm, svdf_parts, svdf_sequence
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array, Graph, Node, State, verify
from tinycompile.kernels import kernels_for
from tinycompile.ops.identity import Identity
from tinycompile.passes import optimize
from tinycompile.passes.own_states import own_states
from tinycompile.planner import Planned, plan
from tinycompile.planner.validate import validate_states

IN_PLACE = kernel(overlap={0: 0})
M7 = core_named("cortex-m7", dsp=True, fpu=True)


def planned(graph: Graph) -> Planned:
    return plan(graph, kernels_for(graph, M7), ram_limit=None, optimize="ram")


class Memory:
    """Executes a plan node by node on bytes: a value that was overwritten too early is wrong."""

    def __init__(self, found: Planned) -> None:
        self.found, graph = found, found.graph
        rng = np.random.default_rng(5)
        self.arena = rng.integers(0, 256, found.arena_bytes, np.uint8)
        self.states = rng.integers(0, 256, found.state_bytes, np.uint8)
        for state in graph.states:
            self.write(state.name, state.initial)

    def _bytes(self, name: str) -> Array:
        memory = self.states if name in self.found.kept else self.arena
        start = self.found.offsets[name]
        return memory[start : start + self.found.graph.types[name].bytes]

    def write(self, name: str, value: Array) -> None:
        self._bytes(name)[:] = np.frombuffer(value.tobytes(), np.uint8)

    def read(self, name: str) -> Array:
        if name in self.found.graph.constants:
            return self.found.graph.constants[name]
        t = self.found.graph.types[name]
        return t.dtype.unpack(self._bytes(name).tobytes(), t.elements).reshape(t.shape)

    def step(self, inputs: list[Array]) -> list[Array]:
        graph = self.found.graph
        for name, value in zip(graph.inputs, inputs, strict=True):
            self.write(name, value)
        for node in graph.nodes:
            results = node.op.evaluate(graph.signature(node), [self.read(name) for name in node.inputs])
            for name, value in zip(node.outputs, results, strict=True):
                self.write(name, value)
        return [self.read(name) for name in graph.outputs]


def outputs(graph: Graph, steps: list[list[Array]]) -> list[list[Array]]:
    return [[values[name] for name in graph.outputs] for values in interpreter.steps(graph, steps)]


@pytest.mark.parametrize("seed", range(120))
def test_passes_and_plans_keep_sequences(seed: int) -> None:
    graph = with_states(seed)
    steps = sequence(graph, 4)
    expected = outputs(graph, steps)
    optimized = optimize(graph)
    np.testing.assert_equal(outputs(optimized, steps), expected)
    memory = Memory(planned(optimized))
    np.testing.assert_equal([memory.step(inputs) for inputs in steps], expected)


def copies(graph: Graph) -> int:
    return sum(isinstance(node.op, Identity) for node in graph.nodes)


def boxes(edges: dict[str, tuple[str, ...]], result: str, **states: str) -> Graph:
    """A graph of operators of 8 bytes; `states`: name and next value."""
    names = dict.fromkeys([*states, *edges, *(name for operands in edges.values() for name in operands)], 8)
    graph = network(names, edges, (result,))
    found = tuple(State(name, np.zeros(8, np.int8), following) for name, following in states.items())
    return replace(graph, inputs=tuple(n for n in graph.inputs if n not in states), states=found)


def test_a_next_value_computed_after_the_last_reading_needs_no_copy() -> None:
    graph = own_states(boxes({"a": ("x", "s"), "b": ("a",), "y": ("b",)}, "y", s="b"))
    assert copies(graph) == 0
    assert (
        plan(graph, [[IN_PLACE]] * 3, ram_limit=None, optimize="ram").arena_bytes == 8
    )  # x, a and y; b is in the state


def test_readings_come_first_if_they_can() -> None:
    graph = own_states(boxes({"b": ("x",), "a": ("x", "s"), "y": ("a", "b")}, "y", s="b"))
    assert [node.name for node in graph.nodes] == ["a", "b", "y"]
    assert copies(graph) == 0


@pytest.mark.parametrize(
    ("edges", "states", "expected"),
    [
        ({"b": ("s", "x"), "y": ("b",)}, {"s": "b"}, 1),  # b's node reads what it would write
        ({"b": ("x",), "a": ("b", "s"), "y": ("a",)}, {"s": "b"}, 1),  # s is read when b is there
        ({"y": ("x", "s")}, {"s": "x"}, 1),  # an input
        ({"y": ("x", "s")}, {"s": "y"}, 1),  # an output
        ({"y": ("x", "s", "t")}, {"s": "x", "t": "s"}, 2),  # a delay line
        ({"y": ("x", "s", "t")}, {"s": "t", "t": "s"}, 3),  # two that swap: one is put aside
        ({"a": ("x",), "y": ("a", "s", "t")}, {"s": "a", "t": "a"}, 2),  # y reads s when a is there
    ],
)
def test_copies(edges: dict[str, tuple[str, ...]], states: dict[str, str], expected: int) -> None:
    graph = own_states(boxes(edges, "y", **states))
    verify(graph)
    assert copies(graph) == expected
    kept = {name for state in graph.states for name in (state.name, state.next)}
    validate_states(graph, kept)


def test_states_that_no_output_depends_on_go() -> None:
    edges = {"a": ("s", "x"), "b": ("t", "u"), "y": ("x", "v")}
    graph = boxes(edges, "y", s="a", t="b", u="x", v="t")
    assert [state.name for state in graph.without_dead().states] == ["t", "u", "v"]
    assert [node.name for node in graph.without_dead().nodes] == ["b", "y"]


def test_a_state_that_stays_is_a_constant() -> None:
    graph = with_states(3)
    fixed = replace(graph, states=tuple(replace(state, next=state.name) for state in graph.states))
    assert graph.states
    assert not optimize(fixed).states


def test_the_order_search_keeps_readings_first() -> None:
    """Executing the writer first would need less: the reader's result is large."""
    graph = boxes({"a": ("s",), "b": ("x",), "y": ("a", "b")}, "y", s="b")
    graph = own_states(replace(graph, types={**graph.types}))
    found = plan(graph, [[IN_PLACE]] * 3, ram_limit=None, optimize="ram")
    assert [node.name for node in found.graph.nodes].index("a") < [n.name for n in found.graph.nodes].index("b")


def test_the_validator_sees_a_reading_that_comes_too_late() -> None:
    graph = boxes({"b": ("x",), "a": ("s",), "y": ("a", "b")}, "y", s="b")
    with pytest.raises(ValueError, match="a reads state 's' when its next value has been written"):
        validate_states(graph, {"s", "b"})
    late = replace(graph, nodes=(*graph.nodes[:1], Node("view", Identity(), ("s",), ("v",)), *graph.nodes[1:]))
    with pytest.raises(ValueError, match="view reads"):
        validate_states(late, {"s", "b", "v"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"next": "nothing"}, "never computed"),
        ({"initial": np.zeros(7, np.int8)}, "begins with"),
        ({"name": "x"}, "two of inputs"),
    ],
)
def test_contradictions(change: dict[str, str], message: str) -> None:
    graph = boxes({"b": ("x",), "y": ("b", "s")}, "y", s="b")
    verify(graph)
    with pytest.raises(ValueError, match=message):
        verify(replace(graph, states=(replace(graph.states[0], **change),)))


def test_a_node_that_may_writes_over_the_state_that_it_reads() -> None:
    """SVDF moves its results in place; with another reader behind it, or as an output, the old ones are put aside."""
    form = SvdfForm(inputs=8)
    b, inputs, outputs = svdf_parts(form)
    graph = import_tflite(b.build(inputs, outputs), "m", "m.tflite")
    alone = optimize(graph)
    assert [node.op.kind for node in alone.nodes] == ["svdf"]
    (state,) = graph.states
    seen = optimize(replace(graph, outputs=(*graph.outputs, state.name)))
    assert [node.op.kind for node in seen.nodes] == ["identity", "svdf"]
    sequence = [[x] for x in svdf_sequence(form, 4)]
    for each, before in ((alone, graph), (seen, replace(graph, outputs=(*graph.outputs, state.name)))):
        memory = Memory(planned(each))
        for inputs_of_step, values in zip(sequence, interpreter.steps(before, sequence), strict=True):
            np.testing.assert_equal(memory.step(inputs_of_step), [values[name] for name in before.outputs])
