"""Placement: every plan is valid, small ones are optimal, and the validator sees what is wrong with a broken one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.networks import chain, kernel
from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner import greedy
from tinycompile.planner.choose import place
from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem
from tinycompile.planner.validate import validate
from tinycompile.planner.values import Values

quick = settings(deadline=None, derandomize=True)


@st.composite
def problems(draw: st.DrawFn, most: int = 12) -> Problem:
    """Buffers with random lifetimes; an overlap where one dies at the step at which another is born."""
    buffers = []
    for index in range(draw(st.integers(1, most))):
        first = draw(st.integers(0, 6))
        last = first + draw(st.integers(1, 4))
        buffers.append(Buffer(f"b{index}", draw(st.integers(1, 9)) * 8, first, last))
    pairs = [(a, b) for a, b in itertools.permutations(buffers, 2) if a.first < b.first == a.last - 1]
    chosen = [pair for pair in pairs if draw(st.booleans())]
    distances = st.integers(-2, 4).map(lambda units: 8 * units)
    overlaps = (Overlap(a.name, b.name, draw(distances), draw(st.booleans())) for a, b in chosen)
    return Problem(tuple(buffers), tuple(overlaps))


@settings(quick, max_examples=150)
@given(problems())
def test_greedy_plans_are_valid(problem: Problem) -> None:
    validate(problem, greedy.place(problem, 0, rounds=20))


@st.composite
def planned_chains(draw: st.DrawFn) -> tuple[Graph, list[Kernel]]:
    """A chain with kernels that share memory at some distance, exactly, or not at all."""
    steps = draw(st.integers(1, 3))
    kernels = [
        kernel(
            1,
            8 * draw(st.integers(0, 2)),
            overlap=draw(st.sampled_from([{}, {0: 8 * draw(st.integers(-1, 3))}])),
            in_place=draw(st.booleans()),
        )
        for _ in range(steps)
    ]
    return chain([8 * draw(st.integers(1, 3)) for _ in range(steps + 1)]), kernels


@settings(quick, max_examples=40)
@given(planned_chains())
def test_small_problems_reach_the_optimum(planned: tuple[Graph, list[Kernel]]) -> None:
    """Against every placement that the validator accepts."""
    graph, kernels = planned
    values = Values(graph, [[k] for k in kernels])
    problem, found = values.problem(kernels), place(values, kernels)
    validate(problem, found)
    assert found.lower_bound_bytes == found.arena_bytes >= max(values.needs(kernels))
    names = [buffer.name for buffer in problem.buffers]
    for starts in itertools.product(range(0, found.arena_bytes, 8), repeat=len(names)):
        offsets = dict(zip(names, starts, strict=True))
        size = greedy.height(problem, offsets)
        if size < found.arena_bytes:
            with pytest.raises(ValueError, match="overlap"):
                validate(problem, Plan(offsets, size, 0))


CHAIN = Problem(
    (Buffer("x", 64, 0, 2), Buffer("y", 64, 1, 3), Buffer("z", 64, 2, 4)), (Overlap("x", "y", 16), Overlap("y", "z", 8))
)
PLACED = Plan({"x": 24, "y": 8, "z": 0}, 88, 80)


def test_a_chain_of_overlaps_shares_memory() -> None:
    assert greedy.place(CHAIN, 80) == PLACED


@pytest.mark.parametrize("name", ["x", "y", "z"])
@pytest.mark.parametrize("shift", [-8, 8])
def test_the_validator_sees_a_shifted_buffer(name: str, shift: int) -> None:
    offsets = {**PLACED.offsets, name: PLACED.offsets[name] + shift}
    match = "outside" if (name, shift) in {("x", 8), ("z", -8)} else "overlap while both are in use|are in use$"
    with pytest.raises(ValueError, match=match):
        validate(CHAIN, replace(PLACED, offsets=offsets))


def test_the_validator_sees_an_overlap_that_is_a_byte_short() -> None:
    longer = replace(CHAIN, overlaps=(replace(CHAIN.overlaps[0], distance=17), CHAIN.overlaps[1]))
    with pytest.raises(ValueError, match="overlap while both are in use"):
        validate(longer, PLACED)


def test_the_validator_sees_misalignment() -> None:
    with pytest.raises(ValueError, match="misaligned"):
        validate(Problem((Buffer("x", 8, 0, 1),)), Plan({"x": 4}, 16, 8))


def test_the_validator_sees_an_arena_of_another_size() -> None:
    with pytest.raises(ValueError, match="16 bytes, 8 are in use"):
        validate(Problem((Buffer("x", 8, 0, 1),)), Plan({"x": 0}, 16, 8))


def test_the_validator_sees_a_part_in_a_wrong_place() -> None:
    parts = Problem((Buffer("a", 8, 0, 2, "c", 8), Buffer("c", 16, 1, 3, "c")))
    validate(parts, Plan({"a": 8, "c": 0}, 16, 16))
    with pytest.raises(ValueError, match="a lies 0 bytes from c, not 8"):
        validate(parts, Plan({"a": 0, "c": 0}, 16, 16))


def test_exact_overlaps_allow_no_other_distance() -> None:
    problem = Problem((Buffer("x", 32, 0, 2), Buffer("y", 32, 1, 3)), (Overlap("x", "y", 0, exact=True),))
    validate(problem, Plan({"x": 8, "y": 8}, 40, 32))
    with pytest.raises(ValueError, match="overlap while both are in use"):
        validate(problem, Plan({"x": 8, "y": 0}, 40, 32))
