"""Kernels and addresses together, exactly: a constraint program for CP-SAT (OR-Tools).

Variables are the address of every group of buffers and, per step, which kernel it uses. Buffers in use at the same time
lie above or below one another, or share memory as a kernel that is used allows. A step's lower bound (`Values.need`)
is added although it follows: it gives the solver a strong start.

One worker and a limit in the solver's deterministic time make the result the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Any

from tinycompile.kernels.base import Kernel
from tinycompile.planner.cp_sat import cp_model
from tinycompile.planner.problem import UNIT, Buffer, Overlap, whole_units
from tinycompile.planner.values import Options, Values, scratch_name

EFFORT = 2.0
"""Deterministic seconds of a solve, about as long as real ones."""


@dataclass(frozen=True)
class Solution:
    """What the solver found.

    Attributes:
        kernels: one per step. offsets: of every buffer, scratch included, in bytes.
        bound: no solution has a smaller objective (bytes of the arena, or instructions).
        proved: the objective is the bound.
    """

    kernels: tuple[Kernel, ...]
    offsets: Mapping[str, int]
    bound: int
    proved: bool


class Infeasible(Exception):  # noqa: N818 - a result, not a failure
    """Proved: no choice of kernels fits."""


def smallest(values: Values, options: Options, most: int, hint: Mapping[str, int] | None = None) -> Solution | None:
    """The kernels and addresses that need the smallest arena; None if none was found in time.

    Args:
        most: bytes; only smaller or equal arenas are looked for.
        hint: offsets to start from.

    Raises:
        Infeasible: every arena is larger than `most`.
    """
    program = _Program(values, options, most)
    program.model.minimize(program.height)
    return program.solve(hint, UNIT)


def fastest(values: Values, options: Options, most: int, constant_bytes: int | None) -> Solution | None:
    """The kernels with the fewest instructions that fit `most` bytes, with constants of at most `constant_bytes`.

    Raises:
        Infeasible: none do.
    """
    program = _Program(values, options, most)
    if constant_bytes is not None:
        program.model.add(program.total(lambda kernel: kernel.constant_bytes) <= constant_bytes)
    program.model.minimize(program.total(lambda kernel: kernel.instructions))
    return program.solve(None, 1)


class _Program:
    """In units of `UNIT` bytes."""

    def __init__(self, values: Values, options: Options, most: int) -> None:
        self._cp = cp_model()
        self.model = self._cp.CpModel()
        self._most = most // UNIT
        self._options = [self._useful(values, step, kernels, most) for step, kernels in enumerate(options)]
        self.height: Any = self.model.new_int_var(0, self._most, "height")
        self._chosen = [self._one_of(step, len(kernels)) for step, kernels in enumerate(self._options)]
        self._address: dict[str, Any] = {}
        self._buffers = values.buffers
        for buffer in values.buffers:
            self._contain(buffer)
        self._scratch = [self._add_scratch(step) for step in range(len(self._options))]
        self._separate(values)
        for step, kernels in enumerate(self._options):
            needs = [values.need(step, kernel) // UNIT for kernel in kernels]
            self.model.add(self.height >= sum(n * x for n, x in zip(needs, self._chosen[step], strict=True)))
        self.model.add(self.height >= values.needs([kernels[0] for kernels in self._options])[-1] // UNIT)

    def total(self, figure: Callable[[Kernel], int]) -> Any:
        """Of the chosen kernels."""
        return sum(
            figure(kernel) * x
            for kernels, chosen in zip(self._options, self._chosen, strict=True)
            for kernel, x in zip(kernels, chosen, strict=True)
        )

    def solve(self, hint: Mapping[str, int] | None, unit: int) -> Solution | None:
        """Args:
        unit: of the objective.
        """
        for name, offset in (hint or {}).items():
            if name in self._address:
                self.model.add_hint(self._address[name], offset // UNIT)
        solver = self._cp.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.catch_sigint_signal = False  # else Ctrl-C would kill the process from then on
        solver.parameters.random_seed = 0
        solver.parameters.max_deterministic_time = EFFORT
        status = solver.solve(self.model)
        if status == self._cp.INFEASIBLE:
            raise Infeasible
        if status not in (self._cp.OPTIMAL, self._cp.FEASIBLE):
            return None
        kernels = tuple(
            next(kernel for kernel, x in zip(options, chosen, strict=True) if solver.value(x))
            for options, chosen in zip(self._options, self._chosen, strict=True)
        )
        offsets = {b.name: UNIT * solver.value(self._address[b.base]) + b.displacement for b in self._buffers}
        for step, kernel in enumerate(kernels):
            if kernel.scratch_bytes:
                offsets[scratch_name(step)] = UNIT * solver.value(self._scratch[step][0])
        bound = unit * ceil(solver.best_objective_bound - 1e-6)
        return Solution(kernels, offsets, bound, status == self._cp.OPTIMAL)

    @staticmethod
    def _useful(values: Values, step: int, kernels: Sequence[Kernel], most: int) -> list[Kernel]:
        """Without those that can't fit, and without those that another beats in everything."""
        fitting = [kernel for kernel in kernels if values.need(step, kernel) <= most]
        if not fitting:
            raise Infeasible
        return [k for i, k in enumerate(fitting) if not any(_beats(o, k, j < i) for j, o in enumerate(fitting))]

    def _one_of(self, step: int, count: int) -> list[Any]:
        if count == 1:
            return [1]
        chosen = [self.model.new_bool_var(f"step {step} uses {index}") for index in range(count)]
        self.model.add_exactly_one(chosen)
        return chosen

    def _contain(self, buffer: Buffer) -> None:
        if buffer.base not in self._address:
            self._address[buffer.base] = self.model.new_int_var(0, self._most, buffer.base)
        start = self._address[buffer.base] + buffer.displacement // UNIT
        self.model.add(start >= 0)
        self.model.add(start + buffer.size // UNIT <= self.height)

    def _add_scratch(self, step: int) -> tuple[Any, Any]:
        """Address and size of a step's scratch; the size depends on the kernel."""
        sizes = [whole_units(kernel.scratch_bytes) // UNIT for kernel in self._options[step]]
        if not any(sizes):
            return 0, 0
        address = self.model.new_int_var(0, self._most, scratch_name(step))
        size = sum(s * x for s, x in zip(sizes, self._chosen[step], strict=True))
        self.model.add(address + size <= self.height)
        return address, size

    def _separate(self, values: Values) -> None:
        """Whatever is in use at the same time."""
        shareable: dict[tuple[str, str], list[tuple[Any, Overlap]]] = defaultdict(list)
        for step, kernels in enumerate(self._options):
            for kernel, x in zip(kernels, self._chosen[step], strict=True):
                for overlap in values.overlaps(step, kernel):
                    shareable[overlap.upper, overlap.lower].append((x, overlap))
        for overlap in values.stage_overlaps:
            shareable[overlap.upper, overlap.lower].append((1, overlap))
        live = [[b for b in self._buffers if b.first <= step < b.last] for step in range(len(self._options) + 1)]
        seen = set[tuple[str, str]]()
        for step, buffers in enumerate(live):
            for a, b in combinations(buffers, 2):
                if a.base != b.base and (a.name, b.name) not in seen:
                    seen.add((a.name, b.name))
                    shares = [*self._shares(a, b, shareable), *self._shares(b, a, shareable)]
                    self._apart(self._start(a), a.size // UNIT, self._start(b), b.size // UNIT, shares)
            if step < len(self._scratch) and not isinstance(self._scratch[step][0], int):
                for buffer in buffers:
                    self._apart(*self._scratch[step], self._start(buffer), buffer.size // UNIT, [])

    def _start(self, buffer: Buffer) -> Any:
        return self._address[buffer.base] + buffer.displacement // UNIT

    def _shares(self, upper: Buffer, lower: Buffer, shareable: Mapping[tuple[str, str], Any]) -> list[Any]:
        """A literal for each kernel that lets the two share memory; if it holds, they keep their distance."""
        literals = list[Any]()
        for x, overlap in shareable.get((upper.name, lower.name), ()):
            literal = self.model.new_bool_var("")
            if not isinstance(x, int):
                self.model.add_implication(literal, x)
            distance = self._start(upper) - self._start(lower)
            least = overlap.distance // UNIT
            self._only_if(literal, distance == least if overlap.exact else distance >= least)
            literals.append(literal)
        return literals

    def _only_if(self, literal: Any, bound: Any) -> None:
        """`bound` holds where `literal` does."""
        constraint: Any = self.model.add(bound)  # one of the overloads of its `only_enforce_if` has no types
        constraint.only_enforce_if(literal)

    def _apart(self, a: Any, a_size: Any, b: Any, b_size: Any, otherwise: list[Any]) -> None:
        """One lies below the other, unless one of `otherwise` holds."""
        below, above = self.model.new_bool_var(""), self.model.new_bool_var("")
        self._only_if(below, a + a_size <= b)
        self._only_if(above, b + b_size <= a)
        self.model.add_bool_or([below, above, *otherwise])


def _beats(other: Kernel, kernel: Kernel, earlier: bool) -> bool:
    """Whether there's no reason to take `kernel`: `other` needs no more of anything, and shares no less."""

    def figures(k: Kernel) -> tuple[int, int, int]:
        return k.instructions, k.constant_bytes, whole_units(k.scratch_bytes)

    shares = other.overlap.keys() >= kernel.overlap.keys() and all(
        other.overlap[operand] <= distance for operand, distance in kernel.overlap.items()
    )
    if other is kernel or other.in_place != kernel.in_place or (not other.in_place and not shares):
        return False
    no_worse = all(o <= k for o, k in zip(figures(other), figures(kernel), strict=True))
    equal = figures(other) == figures(kernel) and other.overlap == kernel.overlap
    return no_worse and (earlier or not equal)
