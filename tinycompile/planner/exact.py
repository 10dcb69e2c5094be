"""Covers and addresses together, exactly: a constraint program for CP-SAT (OR-Tools).

Variables are the address of every group of buffers and, per cover, whether it is used; every step is in exactly one
cover that is. Buffers in use at the same time lie above or below one another, or share memory as a kernel that is used
allows; a buffer inside of a cover that is used isn't there. A cover's lower bound (`Values.bytes_of`) is added
although it follows: it gives the solver a strong start.

One worker and a limit in the solver's deterministic time make the result the same on every machine.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil
from typing import Any

from tinycompile.kernels.cover import Cover, Fused
from tinycompile.planner.cp_sat import cp_model
from tinycompile.planner.flash import Price
from tinycompile.planner.problem import Buffer, Overlap, whole_units
from tinycompile.planner.values import Values, scratch_name

EFFORT = 2.0
"""Deterministic seconds of a solve, about as long as real ones."""


@dataclass(frozen=True)
class Solution:
    """What the solver found.

    Attributes:
        covers: in the order of execution. offsets: in bytes, of every buffer that is there, scratch included.
        bound: no solution has a smaller objective (bytes of the arena, or the price).
        proved: the objective is the bound.
    """

    covers: tuple[Cover, ...]
    offsets: Mapping[str, int]
    bound: int
    proved: bool


class Infeasible(Exception):  # noqa: N818 - a result, not a failure
    """Proved: no choice of covers fits."""


def smallest(
    values: Values, covers: Iterable[Cover], most: int, hint: Mapping[str, int] | None = None
) -> Solution | None:
    """The covers and addresses that need the smallest arena; None if none was found in time.

    Args:
        most: bytes; only smaller or equal arenas are looked for.
        hint: offsets to start from.

    Raises:
        Infeasible: every arena is larger than `most`.
    """
    program = _Program(values, covers, most)
    program.model.minimize(program.height)
    return program.solve(hint, values.unit)


def cheapest(
    values: Values, covers: Iterable[Cover], most: int, price: Price, flash_bytes: int | None
) -> Solution | None:
    """The covers with the lowest price that fit `most` bytes of RAM, and `flash_bytes`.

    Raises:
        Infeasible: none do.
    """
    program = _Program(values, covers, most, price.bytes_of if price.rate or flash_bytes is not None else _constants)
    if flash_bytes is not None:
        program.model.add(program.total(price.bytes_of) <= flash_bytes)
    program.model.minimize(program.total(price.of))
    return program.solve(None, 1)


class _Program:
    """In units of `Values.unit` bytes."""

    def __init__(
        self, values: Values, covers: Iterable[Cover], most: int, flash: Callable[[Cover], int] | None = None
    ) -> None:
        """`flash`: the bytes of a cover, where that matters beside its instructions; None for its constants."""
        self._cp = cp_model()
        self.model = self._cp.CpModel()
        self._values, self._unit, self._most = values, values.unit, most // values.unit
        self.height: Any = self.model.new_int_var(0, self._most, "height")
        self._used = self._each_step_in_one(_useful(values, covers, most, flash or _constants))
        self._address: dict[str, Any] = {}
        self._buffers = values.buffers
        self._absent: dict[str, list[Any]] = defaultdict(list)
        """By buffer: the literals of the covers inside of which it would be."""
        for cover, x in self._used:
            for name in cover.node.op.inner if isinstance(cover.node.op, Fused) else ():
                self._absent[name].append(x)
        for buffer in values.buffers:
            self._contain(buffer)
        self._scratch = self._add_scratch()
        self._separate()
        needs = defaultdict[tuple[int, int], list[Any]](list)
        for cover, x in self._used:
            needs[cover.first, cover.last].append(values.bytes_of(cover) // self._unit * x)
        for each in needs.values():
            self.model.add(self.height >= sum(each))
        self.model.add(self.height >= values.bytes_at_end // self._unit)

    def total(self, figure: Callable[[Cover], int]) -> Any:
        """Of the covers that are used."""
        return sum(figure(cover) * x for cover, x in self._used)

    def solve(self, hint: Mapping[str, int] | None, unit: int) -> Solution | None:
        """Args:
        unit: of the objective.
        """
        for name, offset in (hint or {}).items():
            if name in self._address:
                self.model.add_hint(self._address[name], offset // self._unit)
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
        used = sorted((cover for cover, x in self._used if solver.value(x)), key=lambda cover: cover.first)
        there = [b for b in self._buffers if not any(solver.value(x) for x in self._absent.get(b.name, ()))]
        offsets = {b.name: self._unit * solver.value(self._address[b.base]) + b.displacement for b in there}
        for position, cover in enumerate(used):
            if cover.kernel.scratch_bytes:
                address, _ = self._scratch[cover.first, cover.last]
                offsets[scratch_name(position)] = self._unit * solver.value(address)
        bound = unit * ceil(solver.best_objective_bound - 1e-6)
        return Solution(tuple(used), offsets, bound, status == self._cp.OPTIMAL)

    def _each_step_in_one(self, covers: Sequence[Cover]) -> list[tuple[Cover, Any]]:
        """Every cover with a literal that says whether it is used; 1 for the only one of a step."""
        steps = range(len(self._values.options))
        of = [[i for i, cover in enumerate(covers) if cover.first <= step < cover.last] for step in steps]
        literals: list[Any] = [None] * len(covers)
        for indices in of:
            if not indices:
                raise Infeasible
            new = [index for index in indices if literals[index] is None]
            for index in new:
                literals[index] = 1 if new == indices and len(new) == 1 else self.model.new_bool_var(f"cover {index}")
            if new != indices or len(new) > 1:
                self.model.add_exactly_one([literals[index] for index in indices])
        return list(zip(covers, literals, strict=True))

    def _contain(self, buffer: Buffer) -> None:
        if buffer.base not in self._address:
            self._address[buffer.base] = self.model.new_int_var(0, self._most, buffer.base)
        start = self._address[buffer.base] + buffer.displacement // self._unit
        there = self._none_of(self._absent.get(buffer.name, ()))
        for bound in (start >= 0, start + buffer.size // self._unit <= self.height):
            if there is not None:
                self._only_if(there, bound)

    def _add_scratch(self) -> dict[tuple[int, int], tuple[Any, Any]]:
        """Address and size of the scratch for the nodes [first, last); the size depends on the kernel."""
        sizes = defaultdict[tuple[int, int], list[tuple[int, Any]]](list)
        for cover, x in self._used:
            sizes[cover.first, cover.last].append(
                (whole_units(cover.kernel.scratch_bytes, self._unit) // self._unit, x)
            )
        scratch = dict[tuple[int, int], tuple[Any, Any]]()
        for span, each in sizes.items():
            if any(bytes_ for bytes_, _ in each):
                address = self.model.new_int_var(0, self._most, f"scratch of {span}")
                size = sum(bytes_ * x for bytes_, x in each)
                self.model.add(address + size <= self.height)
                scratch[span] = address, size
        return scratch

    def _separate(self) -> None:
        """Whatever is in use at the same time."""
        shareable: dict[tuple[str, str], list[tuple[Any, Overlap]]] = defaultdict(list)
        spans = dict[tuple[int, int], list[tuple[Cover, Any]]]()
        for cover, x in self._used:
            spans.setdefault((cover.first, cover.last), []).append((cover, x))
            for overlap in self._values.shared_by(cover):
                shareable[overlap.upper, overlap.lower].append((x, overlap))
        for overlap in self._values.other_overlaps:
            shareable[overlap.upper, overlap.lower].append((1, overlap))
        seen = set[tuple[str, str]]()
        for step in range(len(self._values.options) + 1):
            buffers = [b for b in self._buffers if b.first <= step < b.last]
            for a, b in combinations(buffers, 2):
                if a.base != b.base and (a.name, b.name) not in seen:
                    seen.add((a.name, b.name))
                    absent = [*self._absent.get(a.name, ()), *self._absent.get(b.name, ())]
                    self._apart_unless(a, b, shareable, absent)
            self._separate_scratch((step, step + 1), buffers)
        for span, used in spans.items():
            if used[0][0].is_trivial:
                continue
            buffers, unused = self._values.buffers_during(used[0][0]), self._none_of([x for _, x in used])
            for a, b in combinations(buffers, 2):
                if a.base != b.base and (a.name, b.name) not in seen:
                    self._apart_unless(a, b, shareable, [] if unused is None else [unused])
            self._separate_scratch(span, buffers)
        for fork in self._values.forks:
            of_cores = [
                [self._scratch[s, s + 1] for s in steps if (s, s + 1) in self._scratch]
                for steps in (range(fork.first, fork.second), range(fork.second, fork.last))
            ]
            for one, other in product(*of_cores):
                self._apart(*one, *other, [])

    def _separate_scratch(self, span: tuple[int, int], buffers: Iterable[Buffer]) -> None:
        if span in self._scratch:
            own = scratch_name(span[0])
            free = {overlap.upper for overlap in self._values.other_overlaps if overlap.lower == own}
            for buffer in buffers:
                if buffer.name not in free:
                    self._apart(*self._scratch[span], self._start(buffer), buffer.size // self._unit, [])

    def _apart_unless(
        self, a: Buffer, b: Buffer, shareable: Mapping[tuple[str, str], Any], otherwise: list[Any]
    ) -> None:
        shares = [*self._shares(a, b, shareable), *self._shares(b, a, shareable), *otherwise]
        self._apart(self._start(a), a.size // self._unit, self._start(b), b.size // self._unit, shares)

    def _none_of(self, literals: Sequence[Any]) -> Any:
        """A literal that holds where none of these does, which can't be together; None where one always does."""
        if any(isinstance(x, int) for x in literals):
            return None
        if len(literals) < 2:
            return literals[0].negated() if literals else 1
        none = self.model.new_bool_var("")
        self.model.add_exactly_one([*literals, none])
        return none

    def _start(self, buffer: Buffer) -> Any:
        return self._address[buffer.base] + buffer.displacement // self._unit

    def _shares(self, upper: Buffer, lower: Buffer, shareable: Mapping[tuple[str, str], Any]) -> list[Any]:
        """A literal for each kernel that lets the two share memory; if it holds, they keep their distance."""
        literals = list[Any]()
        for x, overlap in shareable.get((upper.name, lower.name), ()):
            literal = self.model.new_bool_var("")
            if not isinstance(x, int):
                self.model.add_implication(literal, x)
            distance = self._start(upper) - self._start(lower)
            least = overlap.distance // self._unit
            self._only_if(literal, distance == least if overlap.exact else distance >= least)
            literals.append(literal)
        return literals

    def _only_if(self, literal: Any, bound: Any) -> None:
        """`bound` holds where `literal` does; 1 always does."""
        constraint: Any = self.model.add(bound)  # one of the overloads of its `only_enforce_if` has no types
        if not isinstance(literal, int):
            constraint.only_enforce_if(literal)

    def _apart(self, a: Any, a_size: Any, b: Any, b_size: Any, otherwise: list[Any]) -> None:
        """One lies below the other, unless one of `otherwise` holds."""
        below, above = self.model.new_bool_var(""), self.model.new_bool_var("")
        self._only_if(below, a + a_size <= b)
        self._only_if(above, b + b_size <= a)
        self.model.add_bool_or([below, above, *otherwise])


def _constants(cover: Cover) -> int:
    return cover.kernel.constant_bytes


def _useful(values: Values, covers: Iterable[Cover], most: int, flash: Callable[[Cover], int]) -> list[Cover]:
    """Without those that can't fit, and without those that another one of the same nodes beats in everything."""
    fitting = [cover for cover in covers if values.bytes_of(cover) <= most]
    same: dict[tuple[int, int], list[Cover]] = defaultdict(list)
    for cover in fitting:
        same[cover.first, cover.last].append(cover)

    def beaten(cover: Cover) -> bool:
        others = same[cover.first, cover.last]
        position = others.index(cover)
        return any(_beats(other, cover, i < position, flash) for i, other in enumerate(others))

    return [cover for cover in fitting if not beaten(cover)]


def _beats(rival: Cover, cover: Cover, earlier: bool, flash: Callable[[Cover], int]) -> bool:
    """Whether there's no reason to take `cover`: `rival` needs no more of anything, and shares no less."""

    def figures(c: Cover) -> tuple[int, int, int]:
        return c.kernel.price, flash(c), whole_units(c.kernel.scratch_bytes)

    other, kernel = rival.kernel, cover.kernel
    shares = other.overlap.keys() >= kernel.overlap.keys() and all(
        other.overlap[operand] <= distance for operand, distance in kernel.overlap.items()
    )
    places = [(k.in_place, k.in_place_operand, k.in_place_at) for k in (other, kernel)]
    if other is kernel or places[0] != places[1] or (not other.in_place and not shares):
        return False
    no_worse = all(o <= k for o, k in zip(figures(rival), figures(cover), strict=True))
    equal = figures(rival) == figures(cover) and other.overlap == kernel.overlap
    return no_worse and (earlier or not equal)
