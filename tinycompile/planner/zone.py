"""Places buffers in an arena whose beginning is in a faster memory than the rest.

Every buffer has a rate: the cycles that each byte of it saves in the zone, which is the first bytes of the arena. The
most cycles are saved by a constraint program for CP-SAT (OR-Tools) on the addresses alone: order and kernels are as
they were chosen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

from tinycompile.planner import greedy
from tinycompile.planner.cp_sat import cp_model
from tinycompile.planner.problem import UNIT, Buffer, Plan, Problem

EFFORT = 1.0
"""Deterministic seconds of the search: four times as long saves a thousandth more on mobilenet_v2."""

PLACED_EXACTLY = 300
"""Steps up to which the solver is asked; larger graphs are left to the greedy placement."""


def saved_by(problem: Problem, plan: Plan, rates: Mapping[str, float], zone: int) -> float:
    """Cycles that the bytes inside the zone save."""
    inside = ((b, min(b.size, max(0, zone - plan.offsets[b.name]))) for b in problem.buffers)
    return sum(rates.get(buffer.name, 0.0) * bytes_ for buffer, bytes_ in inside)


def place_in_zone(problem: Problem, plan: Plan, rates: Mapping[str, float], zone: int) -> Plan:
    """A placement in an arena of the same size that saves at least as much as `plan`.

    Args:
        rates: cycles that a byte of a buffer saves in the zone; 0 for buffers that aren't there.
        zone: bytes.
    """
    found = [plan, *_greedy_plans(problem, plan, rates)]
    best = max(found, key=lambda each: saved_by(problem, each, rates, zone))
    steps = max((buffer.last for buffer in problem.buffers), default=0)
    if zone >= plan.arena_bytes or not any(rates.values()) or steps > PLACED_EXACTLY:
        return best
    exact = _Program(problem, plan.arena_bytes, rates, zone).solve(best)
    if exact is None or saved_by(problem, exact, rates, zone) <= saved_by(problem, best, rates, zone):
        return best
    return exact


def _greedy_plans(problem: Problem, plan: Plan, rates: Mapping[str, float]) -> Iterator[Plan]:
    """What saves most per byte at the lowest address that is free, where the arena doesn't grow by that."""
    for some in (0.0, 0.5, 0.9):
        least = some * max(rates.values(), default=0.0)
        offsets = greedy.in_order(problem, lambda b, least=least: -max(rates.get(b.name, 0.0), least))
        if greedy.height(problem, offsets) <= plan.arena_bytes:
            yield _plan_like(plan, problem, offsets)


def _plan_like(plan: Plan, problem: Problem, offsets: Mapping[str, int]) -> Plan:
    return Plan(offsets, greedy.height(problem, offsets), plan.lower_bound_bytes)


class _Program:
    """In units of `UNIT` bytes."""

    def __init__(self, problem: Problem, most: int, rates: Mapping[str, float], zone: int) -> None:
        self._cp = cp_model()
        self._model = self._cp.CpModel()
        self._problem, self._most, self._zone = problem, most // UNIT, zone // UNIT
        self._address: dict[str, Any] = {}
        for buffer in problem.buffers:
            if buffer.base not in self._address:
                self._address[buffer.base] = self._model.new_int_var(0, self._most, buffer.base)
            self._model.add(self._start(buffer) >= 0)
            self._model.add(self._start(buffer) + buffer.size // UNIT <= self._most)
        self._separate()
        largest = max(rates.values())
        terms = [
            (max(1, round(1000 * rate / largest)), self._inside(buffer))
            for buffer in problem.buffers
            if (rate := rates.get(buffer.name, 0.0)) > 0
        ]
        self._model.maximize(sum(rate * bytes_ for rate, bytes_ in terms))

    def _start(self, buffer: Buffer) -> Any:
        return self._address[buffer.base] + buffer.displacement // UNIT

    def _inside(self, buffer: Buffer) -> Any:
        """Units of it in the zone, at most."""
        begins = self._model.new_bool_var("")
        inside = self._model.new_int_var(0, buffer.size // UNIT, "")
        self._model.add(inside <= self._zone - self._start(buffer)).only_enforce_if(begins)
        self._model.add(inside == 0).only_enforce_if(begins.negated())
        return inside

    def _separate(self) -> None:
        """What is in use at the same time, unless a kernel allows that it shares memory."""
        allowed = {(overlap.upper, overlap.lower): overlap for overlap in self._problem.overlaps}
        for a, b in combinations(self._problem.buffers, 2):
            if a.base == b.base or not a.live_with(b):
                continue
            choices = [self._below(a, b), self._below(b, a)]
            for upper, lower in ((a, b), (b, a)):
                overlap = allowed.get((upper.name, lower.name))
                if overlap is not None:
                    literal = self._model.new_bool_var("")
                    distance, least = self._start(upper) - self._start(lower), overlap.distance // UNIT
                    bound = distance == least if overlap.exact else distance >= -(-overlap.distance // UNIT)
                    if not (overlap.exact and overlap.distance % UNIT):
                        self._model.add(bound).only_enforce_if(literal)
                        choices.append(literal)
            self._model.add_bool_or(choices)

    def _below(self, a: Buffer, b: Buffer) -> Any:
        literal = self._model.new_bool_var("")
        self._model.add(self._start(a) + a.size // UNIT <= self._start(b)).only_enforce_if(literal)
        return literal

    def solve(self, hint: Plan) -> Plan | None:
        """One worker and its own time, so that every machine finds the same."""
        bases = {buffer.base: buffer for buffer in self._problem.buffers}
        for base, buffer in bases.items():
            self._model.add_hint(self._address[base], (hint.offsets[buffer.name] - buffer.displacement) // UNIT)
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.catch_sigint_signal = False
        solver.parameters.random_seed = 0
        solver.parameters.max_deterministic_time = EFFORT
        if solver.solve(self._model) not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return None
        starts = {base: UNIT * solver.value(address) for base, address in self._address.items()}
        offsets = {b.name: starts[b.base] + b.displacement for b in self._problem.buffers}
        return _plan_like(hint, self._problem, offsets)
