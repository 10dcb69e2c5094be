"""The choice among covers of one and of several nodes: what is inside has no memory; nothing else is cheaper."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.networks import chain, kernel, network
from tinycompile.errors import DoesNotFitError
from tinycompile.ir import Graph, State, verify
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import LONGEST, Cover, Fused, OfOneValue, Uses, fused
from tinycompile.planner import Planned, plan
from tinycompile.planner.choose import place
from tinycompile.planner.values import Values


def covers(graph: Graph, first: int, last: int, *kernels: Kernel) -> list[Cover]:
    node = fused(graph.nodes[first:last], graph.types)
    return [Cover(first, last, node, each) for each in kernels]


def planned_with(
    graph: Graph,
    options: Sequence[Sequence[Kernel]],
    several: Sequence[Cover],
    *,
    optimize: str = "speed",
    ram_limit: int | None = None,
    scratch_limit: int | None = None,
) -> Planned:
    found = plan(
        graph,
        options,
        ram_limit=ram_limit,
        optimize=optimize,
        scratch_limit=scratch_limit,
        covers=lambda _: several,
    )
    verify(found.graph)
    return found


def names(planned: Planned) -> list[str]:
    return [node.name for node in planned.graph.nodes]


def test_what_is_inside_has_no_memory() -> None:
    graph = chain([64, 800, 64])
    apart = planned_with(graph, [[kernel(5)]] * 2, [])
    together = planned_with(graph, [[kernel(5)]] * 2, covers(graph, 0, 2, kernel(9, scratch=16)))
    assert apart.arena_bytes == 864
    assert together.arena_bytes == together.lower_bound_bytes == 64 + 64 + 16
    assert names(together) == ["v1 + v2"]
    assert "v1" not in together.offsets
    assert "v1" not in together.graph.types
    assert isinstance(together.graph.nodes[0].op, Fused)
    assert together.graph.nodes[0].op.title == "box + box"


def test_long_runs_have_parts_of_bounded_length() -> None:
    """A loop that a file writes out has a thousand operators, of which each pair would be the ends of a part."""
    graph = chain([8] * (3 * LONGEST))
    found = list(OfOneValue(type(graph.nodes[0].op)).matches(Uses(graph), len(graph.nodes) - 1))
    assert [len(steps) for steps in found] == list(range(2, LONGEST + 1))


def test_operands_of_the_first_node_live_until_the_last() -> None:
    """The first node's operand could make room for the second one's result, if they weren't executed together."""
    graph = network({"x": 64, "b": 8, "y": 16, "z": 64}, {"y": ("x",), "z": ("y", "b")}, ["z"])
    apart = planned_with(graph, [[kernel()]] * 2, [])
    assert apart.arena_bytes == 64 + 16 + 8
    together = planned_with(graph, [[kernel()]] * 2, covers(graph, 0, 2, kernel(1)))
    assert together.arena_bytes == 64 + 8 + 64
    shared = planned_with(graph, [[kernel()]] * 2, covers(graph, 0, 2, kernel(1, overlap={0: 0})))
    assert shared.arena_bytes == 64 + 8


def test_fewer_instructions_or_less_memory_as_it_was_asked_for() -> None:
    graph = chain([64, 800, 64])
    lean, fast = kernel(20), [[kernel(5)]] * 2
    assert names(planned_with(graph, fast, covers(graph, 0, 2, lean))) == ["v1", "v2"]
    limited = planned_with(graph, fast, covers(graph, 0, 2, lean), ram_limit=500)
    assert names(limited) == ["v1 + v2"]
    assert [reason.text for reason in limited.reasons] == ["needs less RAM than the fastest"]
    assert limited.squeezed == 1
    assert limited.proved_best
    assert names(planned_with(graph, fast, covers(graph, 0, 2, lean), optimize="ram")) == ["v1 + v2"]


def constants(size: int, instructions: int) -> Kernel:
    return Kernel("test", None, (Constant("w", "int8_t", np.zeros(size, np.int8)),), instructions=instructions)


def test_constants_are_traded_for_instructions_in_both_directions() -> None:
    graph = chain([8] * 3)
    large, small = constants(1000, 10), constants(100, 60)
    assert names(planned_with(graph, [[small]] * 2, covers(graph, 0, 2, large), optimize="size")) == ["v1", "v2"]
    assert names(planned_with(graph, [[large]] * 2, covers(graph, 0, 2, small), optimize="size")) == ["v1 + v2"]
    assert names(planned_with(graph, [[large]] * 2, covers(graph, 0, 2, small), optimize="speed")) == ["v1", "v2"]


def test_scratch_elsewhere_may_be_too_small_for_a_cover() -> None:
    graph, options = chain([64] * 3), [[kernel(5, scratch=8)]] * 2
    several = covers(graph, 0, 2, kernel(1, scratch=100))
    assert names(planned_with(graph, options, several, scratch_limit=64)) == ["v1", "v2"]
    large = planned_with(graph, options, several, scratch_limit=128)
    assert names(large) == ["v1 + v2"]
    assert (large.scratch_bytes, large.scratch_offsets) == (104, (0,))


def test_a_result_in_the_memory_of_a_state_is_not_computed_with_a_reader_of_it() -> None:
    """The state's old value would be overwritten while it is read."""
    state = State("s", np.zeros(8, np.int8), "n")
    graph = network({"x": 8, "s": 8, "b": 8, "a": 8, "n": 8}, {"b": ("x",), "a": ("s",), "n": ("a", "b")}, ["b"])
    graph = replace(graph, inputs=("x",), states=(state,))
    assert not Values(graph, [[kernel(5)]] * 3, fused=covers(graph, 1, 3, kernel(1))).fused
    other = network({"x": 8, "s": 8, "a": 8, "n": 8}, {"a": ("x",), "n": ("a",)}, ["x"])
    other = replace(other, inputs=("x",), states=(state,))
    found = planned_with(other, [[kernel(5)]] * 2, covers(other, 0, 2, kernel(1)))
    assert names(found) == ["a + n"]
    assert found.kept == {"s", "n"}


@st.composite
def problems(draw: st.DrawFn) -> tuple[Graph, list[list[Kernel]], list[Cover]]:
    """A few nodes of which each reads the one before it, so that there is one order; kernels; some runs as covers."""
    count = draw(st.integers(2, 5))
    sizes = {"v0": 8 * draw(st.integers(1, 6))}
    edges = dict[str, Sequence[str]]()
    for index in range(1, count + 1):
        before = [f"v{i}" for i in range(max(0, index - 3), index)]
        other = draw(st.sampled_from(before))
        edges[f"v{index}"] = (before[-1],) if draw(st.booleans()) else tuple(dict.fromkeys((before[-1], other)))
        sizes[f"v{index}"] = 8 * draw(st.integers(1, 8))
    outputs = sorted({f"v{count}", *draw(st.sets(st.sampled_from(list(sizes)), max_size=1))} - {"v0"})
    graph = network(sizes, edges, outputs)

    def some_kernel(operands: int) -> Kernel:
        shared = {i: 8 * draw(st.integers(-1, 4)) for i in range(operands) if draw(st.booleans())}
        return kernel(draw(st.integers(0, 20)), 8 * draw(st.integers(0, 5)), overlap=shared)

    options = [[some_kernel(len(node.inputs)) for _ in range(draw(st.integers(1, 2)))] for node in graph.nodes]
    return graph, options, list(_some_covers(draw, graph, some_kernel))


def _some_covers(draw: st.DrawFn, graph: Graph, some_kernel: Callable[[int], Kernel]) -> Iterator[Cover]:
    readers = {name: [graph.nodes.index(n) for n in nodes] for name, nodes in graph.consumers().items()}
    for first, last in itertools.combinations(range(len(graph.nodes) + 1), 2):
        inner = [name for node in graph.nodes[first : last - 1] for name in node.outputs]
        private = all(name not in graph.outputs and max(readers[name], default=last) < last for name in inner)
        if last - first > 1 and private and draw(st.booleans()):
            node = fused(graph.nodes[first:last], graph.types)
            for _ in range(draw(st.integers(1, 2))):
                yield Cover(first, last, node, some_kernel(len(node.inputs)))


def every_choice(values: Values) -> Iterator[list[Cover]]:
    def continued(step: int) -> Iterator[list[Cover]]:
        if step == len(values.options):
            yield []
        for cover in values.covers:
            if cover.first == step:
                yield from ([cover, *rest] for rest in continued(cover.last))

    return continued(0)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(problems(), st.integers(0, 5))
def test_the_choice_is_the_best_of_all(problem: tuple[Graph, list[list[Kernel]], list[Cover]], spare: int) -> None:
    """Against every choice of covers: fewest instructions, with and without a limit, and the smallest arena."""
    graph, options, several = problem
    values = Values(graph, options, fused=several)
    assert len(values.fused) == len(several)
    every = list[tuple[int, int]]()
    for chosen in every_choice(values):
        kernels = [cover.kernel for cover in chosen]
        every.append((sum(k.instructions for k in kernels), place(values.with_covers(chosen), kernels).arena_bytes))
    fastest = planned_with(graph, options, several)
    assert fastest.instructions == min(cost for cost, _ in every)
    smallest = min(arena for _, arena in every)
    lean = planned_with(graph, options, several, optimize="ram")
    assert lean.arena_bytes == smallest
    assert lean.instructions == min(cost for cost, arena in every if arena == smallest)
    limited = planned_with(graph, options, several, ram_limit=smallest + 8 * spare)
    assert limited.arena_bytes <= smallest + 8 * spare
    assert limited.instructions == min(cost for cost, arena in every if arena <= smallest + 8 * spare)
    with pytest.raises(DoesNotFitError):
        planned_with(graph, options, several, ram_limit=smallest - 8)


def test_inner_values_may_share_their_memory() -> None:
    """A reshape inside: its result is what it reads; outside, nobody knows either. A reshape of what others read isn't
    inside.
    """
    graph, alias = chain([64, 800, 800, 64]), Kernel("reshape", None, alias_of=0)
    options = [[kernel(5)], [alias], [kernel(5)]]
    together = planned_with(graph, options, covers(graph, 0, 3, kernel(1)))
    assert names(together) == ["v1 + v2 + v3"]
    assert together.arena_bytes == 128
    assert not Values(graph, options, fused=covers(graph, 1, 3, kernel(1))).fused


def test_scratch_that_has_no_room_elsewhere_is_in_the_arena() -> None:
    """All of it: then nothing is apart."""
    graph = chain([64] * 3)
    planned = planned_with(graph, [[kernel(scratch=512)], [kernel(scratch=64)]], (), scratch_limit=256)
    assert planned.scratch_bytes == 0
    assert planned.arena_bytes == 64 + 64 + 512
