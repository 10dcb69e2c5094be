"""The smallest arena, proved without the solver: the solver finds no smaller one, and is asked for addresses alone."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from tests.planner.networks import chain, kernel
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.planner import exact, greedy
from tinycompile.planner.problem import Buffer, Places, Plan, Problem
from tinycompile.planner.proof import smallest_arena
from tinycompile.planner.validate import validate
from tinycompile.planner.values import Values

choose = importlib.import_module("tinycompile.planner.choose")  # the package has a function of this name


def hard_chain(rng: np.random.Generator) -> tuple[Values, list[Kernel]]:
    """One on which the greedy placement doesn't reach the bound of the single steps at once."""
    while True:
        count = int(rng.integers(4, 12))
        kernels = [
            kernel(scratch=8 * int(rng.integers(0, 12)), overlap={0: 8 * int(rng.integers(-2, 8))})
            for _ in range(count)
        ]
        values = Values(chain([8 * int(rng.integers(4, 40)) for _ in range(count + 1)]), [[each] for each in kernels])
        if greedy.Start.of(values.problem(kernels)).top > max(values.needs(kernels)):
            return values, kernels


@pytest.mark.parametrize("seed", range(30))
def test_the_solver_finds_no_smaller_arena(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    values, kernels = hard_chain(np.random.default_rng(seed))
    problem, bound = values.problem(kernels), max(values.needs(kernels))
    start = greedy.Start.of(problem)
    found = smallest_arena(problem.buffers, start.order, bound, start.top)
    assert found is not None
    places = {buffer.name: at for buffer, at in zip(problem.buffers, found, strict=True) if at is not None}
    size = greedy.height(problem, places)
    validate(problem, Plan(places, size, size))
    covers = [Cover(i, i + 1, values.graph.nodes[i], each) for i, each in enumerate(kernels)]
    solved = exact.smallest(values, covers, start.top)
    assert solved is not None
    assert solved.proved
    assert solved.bound == size

    asked = list[int]()

    def smallest(*args: object) -> exact.Solution:
        asked.append(seed)
        return solved

    monkeypatch.setattr(choose, "_placements", {})
    monkeypatch.setattr(exact, "smallest", smallest)
    plan = choose.place(values, kernels)
    assert plan.arena_bytes == plan.lower_bound_bytes == size
    assert not asked
    validate(problem, plan)
    assert len(asked) == (greedy.place(problem, bound).arena_bytes > bound)


def test_what_is_worse_than_known_places_isnt_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the solver had too little time."""
    values, kernels = hard_chain(np.random.default_rng(0))
    monkeypatch.setattr(choose, "_placements", {})

    def searched(*_: object) -> Plan:
        return Plan({}, 1 << 20)

    monkeypatch.setattr(choose, "_searched", searched)
    validate(values.problem(kernels), choose.place(values, kernels))


def test_nothing_is_said_of_what_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three steps' buffers need more than each step, and no effort may be spent on that."""
    buffers = tuple(Buffer(f"b{i}", size, i, i + 2) for i, size in enumerate((40, 32, 16, 48, 24, 40)))
    problem = Problem(buffers)
    start = greedy.Start.of(problem)
    assert smallest_arena(buffers, start.order, 64, start.top) is not None
    for limit in ("EFFORT", "DECISIONS", "GROUPS", "PLACES"):
        with monkeypatch.context() as patch:
            patch.setattr(f"tinycompile.planner.proof.{limit}", 0)
            assert smallest_arena(buffers, start.order, 64, start.top) is None, limit


def test_places_are_looked_for_once() -> None:
    asked = list[int]()

    def find() -> dict[str, int]:
        asked.append(1)
        return {"x": 8}

    places = Places(find)
    assert not asked
    assert (places["x"], dict(places), len(places), places.get("y")) == (8, {"x": 8}, 1, None)
    assert len(asked) == 1
