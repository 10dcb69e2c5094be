"""Estimated cycles of the Cortex-M7, which issues up to two instructions at a time, in order.

Arm publishes no table of its timings. This model has the units and latencies of LLVM's scheduling model of the core
(ARMScheduleM7.td) and what others measured on silicon (quinapalus.com/cm7cycles.html), for code and data in tightly
coupled memory: two ALUs, of which one shifts; one SIMD unit and one multiplier; one load, or two from different banks;
one store; one branch; one FPU. A correctly predicted branch costs its slot and ends the pair.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tinycompile.profile.instructions import FLAGS, Instruction

MISPREDICTION = 6
"""Cycles that a wrongly predicted branch costs."""

UNITS = {"alu": 2, "shift": 1, "simd": 1, "mac": 1, "load": 2, "store": 1, "branch": 1, "fpu": 1, "move": 2}
STEADY = 4
"""Times that a block which repeats itself runs before one is measured, and how many are measured."""

_EXTEND = re.compile(r"[su]xta?[bh]|rev|rbit")
_BITS = re.compile(r"[su]bfx|bfi|bfc|[su]sat|clz|q(add|sub|dadd|dsub)$")
_SHIFTS = {"lsl", "lsr", "asr", "ror", "rrx"}


@dataclass(frozen=True)
class Issue:
    """What an instruction takes.

    Attributes:
        units: one of each. latency: cycles until the result can be read; 1 is the next cycle.
        early: registers that are read a cycle before the others. late: a cycle after them.
        older: only as the first of a pair. alone: not in a pair.
        cycles: for which nothing else is issued.
    """

    units: tuple[str, ...]
    latency: int = 1
    early: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    older: bool = False
    alone: bool = False
    cycles: int = 1


@lru_cache(maxsize=1 << 14)
def issue_of(i: Instruction) -> Issue:
    """By kind and name."""
    if i.is_memory:
        return _memory(i)
    if i.name == "it":
        return Issue(())
    if i.kind == "branch":
        return Issue(
            ("branch",), latency=2, alone=i.name in ("tbb", "tbh"), cycles=2 if i.name in ("tbb", "tbh") else 1
        )
    if i.is_float:
        return _float(i)
    if i.kind == "other":
        return Issue((), alone=i.name not in ("nop", "pld", "unknown"))
    if i.kind == "mac":
        return Issue(("mac",), latency=2, late=i.accumulator)
    if i.name in ("sdiv", "udiv"):
        return Issue(("alu",), alone=True, cycles=7)
    if i.kind == "simd" or _EXTEND.match(i.name):
        units = ("simd", "alu", "shift") if i.name.startswith("pkh") else ("simd", "alu")
        latency = 2 if i.name.startswith(("q", "uq", "usad", "ssat", "usat")) else 1
        return Issue(units, latency, early=i.shifted, older=True)
    if _BITS.match(i.name):
        latency = 2 if i.name.startswith(("ssat", "usat", "q")) else 1
        return Issue(("simd", "alu", "shift"), latency, early=i.reads - {FLAGS}, older=True)
    if i.name in _SHIFTS:
        return Issue(("alu", "shift"))
    if i.shifted:
        return Issue(("alu", "shift"), early=i.shifted)
    return Issue(("alu",))


def _memory(i: Instruction) -> Issue:
    several = i.words > 1
    cycles = (i.words + 1) // 2 + (1 if i.words > 2 else 0)
    if i.kind == "store":
        return Issue(("store",), early=i.address, late=i.reads - i.address - {FLAGS}, alone=several, cycles=cycles)
    narrow = re.match(r"ldrs?[bh]", i.name) is not None
    return Issue(("load",), 2 if narrow or i.is_float else 1, early=i.address, alone=several, cycles=cycles)


def _float(i: Instruction) -> Issue:
    more = 3 if i.is_double else 0
    if i.name in ("vdiv", "vsqrt"):
        return Issue(("fpu",), 16 + more, cycles=14)
    if i.name == "vmov":
        to_core = bool(i.writes) and not any(register[0] in "sd" and register[1:].isdigit() for register in i.writes)
        return Issue(("move",), 1 if to_core else 3)
    if i.name in ("vmrs", "fmstat"):
        return Issue(("move",), 2)
    if i.accumulator:
        return Issue(("fpu",), 6 + more, late=i.accumulator, cycles=2 if more else 1)
    return Issue(("fpu",), 3 + more, cycles=2 if more else 1)


@dataclass
class _Pipeline:
    """Instructions so far: in which cycle the last was issued and with what, and when results are there."""

    cycle: int = 0
    pair: list[Instruction] = field(default_factory=list[Instruction])
    closed: bool = False
    ready: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def position(self) -> float:
        """In cycles; half a cycle for the first of a pair."""
        return self.cycle + (1 if self.closed else len(self.pair) / 2)

    def run(self, block: Sequence[Instruction], taken: bool) -> None:
        """Issue a block; `taken`: it ends in a branch elsewhere."""
        for instruction in block:
            self._issue(instruction)
        self.closed = self.closed or taken

    def _issue(self, i: Instruction) -> None:
        needs = issue_of(i)
        earliest = max((self.ready[r] + _shift(r, needs) for r in i.reads if r in self.ready), default=0)
        if earliest > self.cycle:
            self._advance(earliest)
        if not self._pairs(i, needs):
            self._advance(self.cycle + 1)
        self.pair.append(i)
        for register in i.writes:
            updated = i.is_memory and register in i.address  # a base register is ready at once
            self.ready[register] = self.cycle + (0 if updated else needs.latency + needs.cycles - 1)
        if needs.alone:
            self.closed = True
        if needs.cycles > 1:
            self._advance(self.cycle + needs.cycles)

    def _advance(self, cycle: int) -> None:
        self.cycle, self.pair, self.closed = cycle, [], False

    def _pairs(self, i: Instruction, needs: Issue) -> bool:
        if not self.pair:
            return not self.closed
        if self.closed or len(self.pair) == 2 or needs.older or needs.alone:
            return False
        taken = Counter(unit for other in self.pair for unit in issue_of(other).units)
        if any(taken[unit] >= UNITS[unit] for unit in needs.units):
            return False
        return not (i.kind == "load" and self.pair[0].kind == "load") or _different_banks(self.pair[0], i)


def _shift(register: str, needs: Issue) -> int:
    if register in needs.early:
        return 1
    return -1 if register in needs.late else 0


def _different_banks(a: Instruction, b: Instruction) -> bool:
    """Tightly coupled data memory has a bank for even words and one for odd ones."""
    return bool(a.base) and a.base == b.base and bool((a.offset ^ b.offset) & 4)


class DualIssue:
    """The Cortex-M7."""

    name = "cortex-m7"

    def cycles(self, before: Sequence[Instruction], block: Sequence[Instruction], taken: bool) -> float:
        """Of a block, as `SingleIssue.cycles`. A block that repeats itself is measured once it has settled."""
        pipeline = _Pipeline()
        if before is block:
            for _ in range(STEADY):
                pipeline.run(block, taken)
            start = pipeline.position
            for _ in range(STEADY):
                pipeline.run(block, taken)
            return (pipeline.position - start) / STEADY
        pipeline.run(before, taken)
        start = pipeline.position
        pipeline.run(block, False)
        return pipeline.position - start

    def mispredicted(self) -> float:
        return float(MISPREDICTION)


CORTEX_M7 = DualIssue()
