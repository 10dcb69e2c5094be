"""Placement in an arena whose beginning is in a faster memory."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path

import pytest

from tinycompile.lowering import lower
from tinycompile.options import Options
from tinycompile.planner.greedy import height, place
from tinycompile.planner.problem import Buffer, Overlap, Plan, Problem
from tinycompile.planner.validate import validate
from tinycompile.planner.values import scratch_name
from tinycompile.planner.zone import place_in_zone, saved_by


def _problem(seed: int) -> tuple[Problem, dict[str, float]]:
    """Tensors in a chain, each with scratch beside it."""
    numbers = random.Random(seed)  # noqa: S311 - a fixed sequence, nothing secret
    tensors = [Buffer(f"t{i}", 8 * numbers.randrange(1, 4), i, i + 2) for i in range(3)]
    scratch = [Buffer(scratch_name(i), 8 * numbers.randrange(1, 3), i + 1, i + 2) for i in range(2)]
    overlaps = (Overlap("t0", "t1", 8), Overlap("t1", "t2", 0, exact=True))[: numbers.randrange(3)]
    rates = {b.name: numbers.choice([0.0, 1.0, 7.0]) for b in (*tensors, *scratch)}
    return Problem((*tensors, *scratch), overlaps), rates


def _is_valid(problem: Problem, offsets: dict[str, int]) -> bool:
    try:
        validate(problem, Plan(offsets, height(problem, offsets)))
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("seed", range(4))
def test_no_other_placement_in_an_arena_of_this_size_saves_more(seed: int) -> None:
    problem, rates = _problem(seed)
    plan, zone = place(problem, 0), 16
    found = place_in_zone(problem, plan, rates, zone)
    validate(problem, found)
    assert found.arena_bytes <= plan.arena_bytes
    best = 0.0
    places = [range(0, plan.arena_bytes - b.size + 1, 8) for b in problem.buffers]
    for at in product(*places):
        offsets = {b.name: offset for b, offset in zip(problem.buffers, at, strict=True)}
        saved = saved_by(problem, Plan(offsets, plan.arena_bytes), rates, zone)
        if saved > best and _is_valid(problem, offsets):
            best = saved
    assert saved_by(problem, found, rates, zone) == pytest.approx(best)


def test_scratch_is_in_the_tightly_coupled_memory_of_an_arena_that_spans_two(shared) -> None:
    """An STM32F746 has 64 KiB of DTCM right in front of its SRAM: the arena begins behind the stack."""
    options = Options(target="stm32f746", ram=98_304)
    (model,), layout = lower([Path(shared("models/mcunet_vww.tflite"))], options.board(), options)
    planned, dtcm = model.planned, next(m for m in options.board().memories if m.name == "dtcm")
    assert (layout.arena.name, layout.arena.origin, layout.system) == ("dtcm_ram", dtcm.origin, layout.arena)
    assert planned.arena_bytes <= 98_304 and not planned.scratch_bytes
    steps = [step for step, kernel in enumerate(planned.kernels) if kernel.scratch_bytes]
    ends = [(planned.scratch_offsets[step] or 0) + planned.kernels[step].scratch_bytes for step in steps]
    inside = sum(end <= dtcm.bytes - 3072 for end in ends)
    assert len(steps) > 10 and inside >= 0.9 * len(steps)
