"""Placement: every plan is valid, small ones are optimal, and the validator sees what is wrong with a broken one."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.kernels.base import Kernel
from tinycompile.ops.relu import Relu
from tinycompile.planner.build import problem_of
from tinycompile.planner.offsets import lower_bound, place
from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem
from tinycompile.planner.validate import validate


@st.composite
def problems(draw: st.DrawFn, most: int = 12) -> Problem:
    """Buffers with random lifetimes; an overlap where one dies at the step at which another is born."""
    buffers = []
    for index in range(draw(st.integers(1, most))):
        first = draw(st.integers(0, 6))
        last = first + draw(st.integers(1, 4))
        buffers.append(Buffer(f"b{index}", draw(st.integers(1, 9)) * 4, first, last, align=4))
    pairs = [(a, b) for a, b in itertools.permutations(buffers, 2) if a.first < b.first == a.last - 1]
    chosen = [pair for pair in pairs if draw(st.booleans())]
    return Problem(tuple(buffers), tuple(Overlap(a.name, b.name, draw(st.integers(-8, 16))) for a, b in chosen))


@settings(max_examples=150, deadline=None)
@given(problems())
def test_plans_are_valid_and_bounded(problem: Problem) -> None:
    plan = place(problem)
    validate(problem, plan)
    assert plan.lower_bound_bytes == lower_bound(problem) <= plan.arena_bytes


@settings(max_examples=40, deadline=None)
@given(problems(most=4))
def test_small_problems_reach_the_optimum(problem: Problem) -> None:
    reached = place(problem).arena_bytes
    names = [buffer.name for buffer in problem.buffers]
    for starts in itertools.product(range(0, reached, 4), repeat=len(names)):
        offsets = dict(zip(names, starts, strict=True))
        height = max(offsets[b.name] + b.size for b in problem.buffers)
        if height >= reached:
            continue
        with pytest.raises(ValueError, match="overlap"):
            validate(problem, Plan(offsets, height, 0))


CHAIN = Problem(
    (Buffer("x", 64, 0, 2), Buffer("y", 64, 1, 3), Buffer("z", 64, 2, 4)), (Overlap("x", "y", 16), Overlap("y", "z", 8))
)


def test_a_chain_of_overlaps_shares_memory() -> None:
    plan = place(CHAIN)
    assert plan.arena_bytes == 88
    assert plan.lower_bound_bytes == 80


@pytest.mark.parametrize("name", ["x", "y", "z"])
@pytest.mark.parametrize("shift", [-8, 8])
def test_the_validator_sees_a_shifted_buffer(name: str, shift: int) -> None:
    plan = place(CHAIN)
    offsets = {**plan.offsets, name: plan.offsets[name] + shift}
    if (name, shift) in {("x", 8), ("z", -8)}:
        with pytest.raises(ValueError, match="outside"):
            validate(CHAIN, replace(plan, offsets=offsets))
    else:
        with pytest.raises(ValueError, match="overlap while both are in use"):
            validate(CHAIN, replace(plan, offsets=offsets))


def test_the_validator_sees_an_overlap_that_is_a_byte_short() -> None:
    plan = place(CHAIN)
    longer = replace(CHAIN, overlaps=(replace(CHAIN.overlaps[0], distance=17), CHAIN.overlaps[1]))
    with pytest.raises(ValueError, match="overlap while both are in use"):
        validate(longer, plan)


def test_the_validator_sees_misalignment() -> None:
    with pytest.raises(ValueError, match="misaligned"):
        validate(Problem((Buffer("x", 8, 0, 1),)), Plan({"x": 4}, 16, 8))


def test_a_kernel_works_in_place_only_where_nobody_reads_its_operand_later() -> None:
    image = TensorType((1, 2, 2, 4), "int8", Quantization.per_tensor(1.0, 0))
    nodes = [Node(name, Relu((0, 127)), (x,), (name,)) for name, x in (("a", "x"), ("b", "a"), ("c", "a"), ("d", "c"))]
    graph = Graph("g", ("x",), ("b", "d"), tuple(nodes), dict.fromkeys("xabcd", image), {})
    problem = problem_of(graph, [Kernel("k", None, in_place=True) for _ in nodes])
    pairs = [("x", "a"), ("a", "c"), ("c", "d")]
    assert problem.overlaps == tuple(Overlap(upper, lower, 0, exact=True) for upper, lower in pairs)
    plan = place(problem)
    validate(problem, plan)
    assert plan.arena_bytes == plan.lower_bound_bytes == 32
    assert plan.offsets["x"] == plan.offsets["a"] == plan.offsets["c"] == plan.offsets["d"]


def test_exact_overlaps_allow_no_other_distance() -> None:
    problem = Problem((Buffer("x", 32, 0, 2), Buffer("y", 32, 1, 3)), (Overlap("x", "y", 0, exact=True),))
    validate(problem, Plan({"x": 8, "y": 8}, 40, 32))
    with pytest.raises(ValueError, match="overlap while both are in use"):
        validate(problem, Plan({"x": 8, "y": 0}, 40, 32))
