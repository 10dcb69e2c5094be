"""An array that is put together from pieces of another one: which pieces, found by content alone.

A narrower network's weights are a leading block of a wider one's. However a kernel packs them, both packed arrays have
the same runs of elements in the same order; between them the wider one has channels that the narrower one lacks, and
the narrower one its own requantisation. So nothing needs to be known of the layout, and what is found is exact.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.lazy import lazy

SHORTEST = 8
"""Bytes of a run that is looked for: fewer are equal by chance."""

SAMPLES = 64
"""Places of an array by which the one that it could be a part of is chosen."""

NEXT = 8
"""Places of the same few elements that are looked at."""

USUAL = 4
"""Kinds of runs, by their size and what is in front of them, that are taken for those of a block."""

STEP_BYTES = 8
"""Of a `tc_shared_step`."""

CODED_BYTES = (0, 1, 3, 4)
"""Of an own word, by the two bits that say it."""

PERIOD = 64
"""Steps that are looked for as repeated, at most: a channel of a 7x7 window has 49."""

WORD = 4


@dataclass(frozen=True)
class Step:
    """`times`: `own` elements of the array's own, then a run of `run` from `skip` behind the end of the last run."""

    times: int
    own: int
    skip: int
    run: int


@dataclass(frozen=True, eq=False)
class Pieces:
    """How an array is put together.

    Attributes:
        unit: bytes of an element: 4, or 1 where runs don't begin and end with words.
        steps: in order; those from `again` up to `end` are executed `rounds` times.
        own: what the other array doesn't have.
    """

    unit: int
    steps: tuple[Step, ...]
    again: int
    end: int
    rounds: int
    own: Array

    @lazy
    def stored(self) -> Array:
        """uint8: `own` as it is in flash, words coded."""
        return coded_words(self.own) if self.unit == WORD and self.own.size else self.own.view(np.uint8)

    @property
    def executed(self) -> tuple[Step, ...]:
        """The steps as they follow each other."""
        before, repeated, after = self.steps[: self.again], self.steps[self.again : self.end], self.steps[self.end :]
        return before + repeated * self.rounds + after

    @property
    def fits(self) -> bool:
        """Whether the members of a `tc_shared_step` hold them."""
        sizes = [size for step in self.steps for size in (step.times, step.own, step.run)]
        skips = [self.rounds, *(abs(step.skip) for step in self.steps)]
        return max([*sizes, len(self.steps)]) < 1 << 16 and max(skips) < 1 << 15

    def of(self, whole: Array) -> Array:
        """The bytes of the array, from the other one's: what the C does."""
        shared, own = whole.view(np.uint8), self.own.view(np.uint8)
        found, at, taken = list[Array](), 0, 0
        for step in self.executed:
            for _ in range(step.times):
                size, at = step.own * self.unit, at + step.skip * self.unit
                found += [own[taken : taken + size], shared[at : at + step.run * self.unit]]
                taken, at = taken + size, at + step.run * self.unit
        return np.concatenate(found)


@dataclass(frozen=True)
class _Run:
    """`size` elements at `at` that are those at `there` of the other array."""

    at: int
    there: int
    size: int

    @property
    def end(self) -> int:
        return self.at + self.size

    @property
    def there_end(self) -> int:
        return self.there + self.size


def coded_words(words: Array) -> Array:
    """uint8: own words as `tc_shared.h` reads them."""
    signed = words.view(np.int32).astype(np.int64)
    values, counts = np.unique(signed, return_counts=True)
    usual = int(values[np.argmax(counts)])
    sizes, bytes_of = list[int](), list[bytes]()
    for value in signed.tolist():
        size = 0 if value == usual else 1 if -128 <= value - usual < 128 else 2 if -(2**23) <= value < 2**23 else 3
        data = (value - usual if size == 1 else value).to_bytes(5, "little", signed=True)
        sizes.append(size)
        bytes_of.append(data[: CODED_BYTES[size]])
    coded = bytearray(usual.to_bytes(4, "little", signed=True))
    for first in range(0, len(sizes), 4):
        coded.append(sum(size << 2 * i for i, size in enumerate(sizes[first : first + 4])))
        coded += b"".join(bytes_of[first : first + 4])
    return np.frombuffer(bytes(coded), np.uint8)


def coded_alone(constant: Constant) -> Pieces | None:
    """An array of which another one has nothing, its words coded; None for others than words."""
    if unit_of(constant) != WORD:
        return None
    words = as_units(constant.values, WORD)
    return Pieces(WORD, (Step(1, words.size, 0, 0),), 0, 0, 1, words)


class Whole:
    """A constant of a wider network, of which others may be parts."""

    def __init__(self, constant: Constant) -> None:
        self.constant = constant
        self.unit = unit_of(constant)
        self._values = as_units(constant.values, self.unit)

    @property
    def _together(self) -> int:
        return -(-SHORTEST // self.unit)

    @lazy
    def _places(self) -> Mapping[bytes, list[int]]:
        """Where each sequence of `_together` elements begins."""
        found, data, unit = defaultdict[bytes, list[int]](list), self._values.tobytes(), self.unit
        for at in range(len(self._values) - self._together + 1):
            found[data[at * unit : at * unit + self._together * unit]].append(at)
        return found

    def likeness(self, values: Array) -> int:
        """How many of some places of an array, as units, this one has as well."""
        last, data, unit = len(values) - self._together, values.tobytes(), self.unit
        places = np.unique(np.linspace(0, last, SAMPLES).astype(int)) if last >= 0 else ()
        return sum(data[at * unit : (at + self._together) * unit] in self._places for at in places)

    def pieces(self, values: Array) -> Pieces | None:
        """How an array, as units, is put together from this one; None where it has nothing of it."""
        runs = self._runs(values, ())
        if not runs:
            return None
        usual = Counter((after.there - run.there_end, after.size) for run, after in pairwise(runs))
        again = self._runs(values, [like for like, _ in usual.most_common(USUAL)])
        chosen = (runs, again, _regular(runs), _regular(again))
        return min((_pieces(each, values, self.unit) for each in chosen), key=_bytes)

    def _runs(self, values: Array, usual: Sequence[tuple[int, int]]) -> list[_Run]:
        """The longest from each place on, among the next ones.

        Args:
            usual: (elements from the end of a run to the next, its size), which are taken where they are equal: the
                longest may go on by chance.
        """
        found, at, there = list[_Run](), 0, 0
        data, unit, size = values.tobytes(), self.unit, self._together
        while at + size <= len(values):
            run = next((r for r in (_Run(at, there + skip, n) for skip, n in usual) if self._is_equal(values, r)), None)
            if run is None:
                places = self._places.get(data[at * unit : (at + size) * unit], ())
                places = [p for p in places if p >= there] or places  # a run of zeros may have led too far
                run = max((_Run(at, p, self._length(values, at, p)) for p in places[:NEXT]), key=_length, default=None)
            if run is None:
                at += 1
                continue
            found.append(run)
            at, there = at + run.size, run.there + run.size
        return found

    def _is_equal(self, values: Array, run: _Run) -> bool:
        mine, theirs = values[run.at : run.at + run.size], self._values[max(0, run.there) : run.there + run.size]
        return len(mine) == run.size and np.array_equal(mine, theirs)

    def _length(self, values: Array, at: int, there: int) -> int:
        size = min(len(values) - at, len(self._values) - there)
        differs = values[at : at + size] != self._values[there : there + size]
        first = int(np.argmax(differs))
        return first if differs.size and differs[first] else size


def _regular(runs: Sequence[_Run]) -> Sequence[_Run]:
    """Without the ends by which runs are longer than usual, by chance: steps that are the same are one."""
    if len(runs) < 2:
        return runs
    pairs = ((after.at - run.end, after.there - run.there_end, after.size) for run, after in pairwise(runs))
    ((own, skip, size), _), *_ = Counter(pairs).most_common(1)
    found = [runs[0]]
    for run in runs[1:]:
        before = found[-1]
        first = before.end + own - run.at
        is_usual = first >= 0 and run.size - first >= size and before.there_end + skip == run.there + first
        found.append(_Run(run.at + first, run.there + first, size) if is_usual else run)
    return found


def _length(run: _Run) -> int:
    return run.size


def _bytes(pieces: Pieces) -> tuple[int, int]:
    """Of flash, and how many elements are copied."""
    return pieces.stored.nbytes + STEP_BYTES * (1 + len(pieces.steps)), -pieces.unit


def unit_of(constant: Constant) -> int:
    """Bytes of the elements of which runs consist: the array's own, of structs words."""
    dtype = constant.layout[1]
    if not dtype.fields:
        return dtype.itemsize
    return WORD if dtype.itemsize % WORD == 0 else 1


def as_units(values: Array, unit: int) -> Array:
    """The elements as unsigned integers of so many bytes."""
    return np.ascontiguousarray(values).view(np.uint8).view(f"u{unit}")


def _pieces(runs: Sequence[_Run], values: Array, unit: int) -> Pieces:
    inside = np.zeros(len(values), bool)
    for run in runs:
        inside[run.at : run.at + run.size] = True
    steps, at, there = list[Step](), 0, 0
    for run in runs:
        steps.append(Step(1, run.at - at, run.there - there, run.size))
        at, there = run.at + run.size, run.there + run.size
    if at < len(values):
        steps.append(Step(1, len(values) - at, 0, 0))
    own = values[~inside]
    numbers = [size * unit for step in steps for size in (step.own, step.skip, step.run)]
    common = WORD if all(number % WORD == 0 for number in numbers) else 1
    scaled = [Step(1, *(size * unit // common for size in (s.own, s.skip, s.run))) for s in steps]
    return replace(_repeated(scaled), unit=common, own=own.view(np.uint8).view(f"u{common}"))


def _repeated(steps: Sequence[Step]) -> Pieces:
    """As few steps as it takes with those that follow themselves once, and a part of these repeated."""
    short = list[Step]()
    for step in steps:
        if short and replace(short[-1], times=1) == step:
            short[-1] = replace(step, times=short[-1].times + 1)
        else:
            short.append(step)
    best = (0, 0, 0, 1)  # steps saved, first, period, rounds
    for period in range(1, min(PERIOD, len(short) // 2) + 1):
        same = np.array([a == b for a, b in zip(short, short[period:], strict=False)])
        ends = [-1, *np.flatnonzero(~same), len(same)]
        first, size = max(((a + 1, b - a - 1) for a, b in pairwise(ends)), key=lambda found: found[1])
        rounds = 1 + int(size) // period
        best = max(best, ((rounds - 1) * period, int(first), period, rounds), key=lambda found: found[0])
    _, first, period, rounds = best
    kept = (*short[: first + period], *short[first + period * rounds :])
    return Pieces(1, kept, first, first + period, rounds, np.empty(0, np.uint8))


class Lender:
    """What a wider network has.

    Attributes:
        constants: its arrays.
        functions: that its layers call. blocks: names of those that several may call (`CodeSize.shared`).
    """

    def __init__(self, constants: Sequence[Constant], kernels: Sequence[Kernel] = ()) -> None:
        called = [kernel.function for kernel in kernels if kernel.function]
        self.functions = frozenset(each for function in called for each in function.all_called)
        self.blocks = frozenset(name for kernel in kernels for name in kernel.code_size.shared)
        self.constants = tuple(constants)
        self._wholes = [Whole(constant) for constant in constants if constant.bytes >= SHORTEST]

    def part(self, constant: Constant) -> tuple[Constant, Pieces] | None:
        """(array that a constant has most in common with, how it is put together); None where none has anything."""
        unit, ctype = unit_of(constant), constant.ctype
        values = as_units(constant.values, unit)
        like = Counter(
            {
                number: likeness
                for number, whole in enumerate(self._wholes)
                if whole.unit == unit and whole.constant.ctype == ctype and (likeness := whole.likeness(values))
            }
        )
        if not like:
            return None
        whole = self._wholes[max(like, key=lambda number: (like[number], -number))]
        pieces = whole.pieces(values)
        if pieces is None or not pieces.fits:
            return None
        if not np.array_equal(pieces.of(whole.constant.values), values.view(np.uint8)):
            raise ValueError(f"the pieces of {constant.suffix} aren't what it is")
        return whole.constant, pieces
