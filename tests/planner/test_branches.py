"""Branches on two cores: the dynamic programme finds the best stages, and the cores don't disturb each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.test_poison import random_inputs
from tests.planner.test_stream import run_planned
from tests.support.branch_models import BRANCHING
from tests.support.full import FULL
from tinycompile.dtypes import INT8
from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.kernels.base import Function, Kernel
from tinycompile.lowering import lower
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.options import Options
from tinycompile.planner import LayerPlanner, Planned
from tinycompile.planner.branches import MOST_SETS, branching
from tinycompile.planner.forks import MEETING_INSTRUCTIONS, Fork
from tinycompile.planner.meetings import accesses, meetings

CALL = Function("call", (), "")


def network(rng: np.random.Generator, count: int) -> tuple[Graph, list[int], list[int]]:
    """Each node reads one or two values; with what both cores together take for it, and what one does."""
    t = TensorType((1, 2, 2, 2), INT8, Quantization.per_tensor(0.05, 3))
    names, nodes = ["x"], list[Node]()
    for i in range(count):
        read = [names[j] for j in sorted({int(rng.integers(max(0, len(names) - 4), len(names))) for _ in range(2)})]
        nodes.append(Node(f"n{i}", Add() if len(read) == 2 else Abs(), tuple(read), (f"n{i}",)))
        names.append(f"n{i}")
    ends = tuple(name for name in names[1:] if not any(name in node.inputs for node in nodes))
    single = [int(rng.integers(100, 900)) for _ in nodes]
    together = [int(each * rng.uniform(0.5, 1)) for each in single]
    return Graph("net", ("x",), ends, tuple(nodes), dict.fromkeys(names, t), {}), together, single


def planned_as(graph: Graph, figures: list[int], forks: tuple[Fork, ...] = ()) -> Planned:
    kernels = [[Kernel("test", CALL, instructions=figure)] for figure in figures]
    return replace(
        LayerPlanner(graph, kernels, forks=forks or NO_FORK).plan(ram_limit=None, optimize="speed"), forks=forks
    )


NO_FORK = (Fork(0, 0, 0),)
"""Keeps the order."""


def least(graph: Graph, together: list[int], single: list[int]) -> int:
    """By trying every stage from every set."""
    number = {node.outputs[0]: i for i, node in enumerate(graph.nodes)}
    needs = [{number[name] for name in node.inputs if name in number} for node in graph.nodes]
    everything: frozenset[int] = frozenset(range(len(graph.nodes)))

    def sides(stage: tuple[int, ...]) -> Iterator[int]:
        for cores in product((0, 1), repeat=len(stage)):
            core = dict(zip(stage, cores, strict=True))
            if all(core[s] == core[n] for s in stage for n in needs[s] if n in core):
                work = [sum(single[s] for s in stage if core[s] == side) for side in (0, 1)]
                yield max(work) + MEETING_INSTRUCTIONS

    @cache
    def rest(done: frozenset[int]) -> int:
        left = sorted(everything - done)
        found = list[int]() if left else [0]
        for count in range(1, len(left) + 1):
            for stage in combinations(left, count):
                if all(needs[s] <= done | set(stage) for s in stage):
                    ways = [*sides(stage), *(together[s] for s in stage if count == 1)]
                    found.append(min(ways) + rest(done | set(stage)))
        return min(found)

    return rest(frozenset[int]())


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 100_000), st.integers(2, 6))
def test_no_other_stages_take_less(seed: int, count: int) -> None:
    graph, together, single = network(np.random.default_rng(seed), count)
    planned = planned_as(graph, together)
    kernels = {node: Kernel("one", CALL, instructions=figure) for node, figure in zip(graph.nodes, single, strict=True)}
    found = branching(planned, kernels.__getitem__, None)
    best = planned
    if found is not None:
        forked = {step for fork in found.forks for step in range(fork.first, fork.last)}
        figures = [(single if i in forked else together)[layer] for i, layer in enumerate(found.order)]
        best = planned_as(found.of(graph), figures, found.forks)
    assert best.instructions == least(graph, together, single)


def test_many_branches_are_joined_until_they_are_few() -> None:
    """Of 40 heads of 3 layers there are 4 ** 40 sets."""
    t = TensorType((1, 2, 2, 2), INT8, Quantization.per_tensor(0.05, 3))
    names = [f"n{i}" for i in range(120)]
    nodes = [Node(n, Abs(), (names[i - 1] if i % 3 else "x",), (n,)) for i, n in enumerate(names)]
    graph = Graph("heads", ("x",), tuple(names[2::3]), tuple(nodes), dict.fromkeys(["x", *names], t), {})
    assert MOST_SETS < 4**40
    found = branching(planned_as(graph, [80] * 120), lambda _: Kernel("one", CALL, instructions=100), None)
    assert found is not None
    assert sorted(found.order) == list(range(120))
    assert planned_as(found.of(graph), [100] * 120, found.forks).instructions <= 6000 + 4 * MEETING_INSTRUCTIONS


@pytest.mark.parametrize("name", list(BRANCHING)[:3] if FULL else ["late_fusion"])
def test_both_sides_at_the_same_time(name: str, tmp_path: Path) -> None:
    """Each core touches nothing that the other one writes; the bytes are the definition's."""
    path = tmp_path / f"{name}.tflite"
    path.write_bytes(BRANCHING[name]())
    options = Options.of("mps2-an521", cores=2)
    (lowered,), _ = lower([path], options.board(), options)
    planned = lowered.planned
    assert planned.forks
    assert planned.instructions < sum(kernel.instructions for kernel in planned.kernels)
    for fork in planned.forks:
        sides = [range(fork.first, fork.second), range(fork.second, fork.last)]
        for core, steps in enumerate(sides):
            assert {planned.kernels[step].core for step in steps} == {core}
        for one, other in product(*sides):
            assert not accesses(planned, one)[0].disturbs(accesses(planned, other)[1])
            assert not accesses(planned, other)[1].disturbs(accesses(planned, one)[0])
    assert all(not fork.first < layer < fork.last for fork in planned.forks for layer in meetings(planned))
    run_planned(planned, random_inputs(planned.graph, 1), cores=2)
