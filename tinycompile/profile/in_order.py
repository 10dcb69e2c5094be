"""A pipeline that issues up to two instructions in a cycle, in order: what Cortex-M7, M33, M55 and M85 share.

A core is data: which units it has, what each instruction takes of them and when its result can be read (`Issue`), and
which two instructions may begin together. An instruction is issued in the first cycle in which its operands are there
and its units are free, and no instruction before it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tinycompile.profile.instructions import FLAGS, Instruction

STEADY = 4
"""Times that a block which repeats itself runs before one is measured, and how many are measured."""


@dataclass(frozen=True)
class Issue:
    """What an instruction takes.

    Attributes:
        units: one of each in the cycle in which it begins; a name that occurs twice stands for two of it.
        latency: cycles until the result can be read; 1 is the next cycle.
        early: registers that are read `earlier` cycles before the others. late: `later` cycles after them.
        result: what its result is to those that read it late. late_from: results that can be; None for all.
        base: latency of an address register that a load or store updates. flags: of the flags; None as the others.
        older: only as the first of a pair. alone: not in a pair. ends: nothing begins after it in the same cycle.
        free: takes no place in a cycle.
        cycles: for which nothing else is issued. open: but in the last of them.
        held: units that are taken for `beats` cycles, in which others may begin. either: of which one is.
    """

    units: tuple[str, ...]
    latency: int = 1
    early: frozenset[str] = frozenset()
    late: frozenset[str] = frozenset()
    earlier: int = 1
    later: int = 1
    result: str = ""
    late_from: frozenset[str] | None = None
    base: int = 0
    flags: int | None = None
    older: bool = False
    alone: bool = False
    ends: bool = False
    free: bool = False
    cycles: int = 1
    open: bool = False
    held: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    beats: int = 2

    def offset(self, register: str, result: str) -> int:
        """Cycles by which a register must be there before those that are read when the instruction begins."""
        if register in self.early:
            return self.earlier
        late = register in self.late and (self.late_from is None or result in self.late_from)
        return -self.later if late else 0


@dataclass(frozen=True)
class Core:
    """A core's timings.

    Attributes:
        units: how many there are of each. issue: what an instruction takes.
        pairs: whether two instructions may begin in one cycle, as far as units and operands don't decide.
        mispredicted: cycles of a branch that went the less frequent way; 0 where nothing is predicted.
        refill: by the two last instructions of a block, the second of which is a branch that was taken, the cycles
            that it costs beyond its issue. Where branches are predicted it ends the pair and costs no more.
    """

    name: str
    units: Mapping[str, int]
    issue: Callable[[Instruction], Issue]
    pairs: Callable[[Instruction, Instruction], bool]
    mispredicted: int = 0
    refill: Callable[[Sequence[Instruction], bool], int] | None = None


@dataclass
class Pipeline:
    """Instructions so far: in which cycle the last was issued and with what, and when results are there."""

    core: Core
    cycle: int = 0
    pair: list[Instruction] = field(default_factory=list[Instruction])
    closed: bool = False
    ready: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    busy: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    @property
    def position(self) -> float:
        """In cycles; half a cycle for the first of a pair."""
        return self.cycle + (1 if self.closed else len(self.pair) / 2)

    def run(self, block: Sequence[Instruction]) -> None:
        """Issue a block."""
        for instruction in block:
            self._issue(instruction, self.core.issue(instruction))

    def leave(self, block: Sequence[Instruction]) -> None:
        """The block's last instruction has branched."""
        if self.core.refill is None:
            self.closed = True
        elif cycles := self.core.refill(block, len(self.pair) == 2):
            self._advance(self.cycle + 1 + cycles)

    def _issue(self, i: Instruction, needs: Issue) -> None:
        if needs.free:
            return
        if needs.either:
            needs = replace(needs, held=(min(needs.either, key=lambda unit: self._idle(unit, needs)),), either=())
        if (earliest := self.earliest(i, needs)) > self.cycle:
            self._advance(earliest)
        if not self._joins(i, needs):
            self._advance(self.cycle + 1)
        self.pair.append(i)
        self._write(i, needs)
        for unit in needs.units:
            self.busy.setdefault(unit, []).append(self.cycle + 1)
        for unit in needs.held:
            self.busy.setdefault(unit, []).append(self.cycle + needs.beats)
        if needs.alone or needs.ends:
            self.closed = True
        if needs.open:
            self.cycle += needs.cycles - 1
        elif needs.cycles > 1:
            self._advance(self.cycle + needs.cycles)

    def earliest(self, i: Instruction, needs: Issue) -> int:
        """The first cycle in which its operands are there and its units free."""
        operands = (self._there(register, needs) for register in i.reads if register in self.ready)
        units = (self._idle(unit, needs) for unit in {*needs.units, *needs.held})
        return max(*operands, *units, 0, 0)

    def _there(self, register: str, needs: Issue) -> int:
        cycle, result = self.ready[register]
        return cycle + needs.offset(register, result)

    def _idle(self, unit: str, needs: Issue) -> int:
        """The first cycle in which enough units of a kind aren't taken by what was issued before."""
        taken = self.busy[unit] = sorted(cycle for cycle in self.busy.get(unit, ()) if cycle > self.cycle)
        wanted = needs.units.count(unit) + needs.held.count(unit) + needs.either.count(unit)
        missing = wanted + len(taken) - self.core.units[unit]
        return taken[missing - 1] if missing > 0 else 0

    def _write(self, i: Instruction, needs: Issue) -> None:
        for register in i.writes:
            if i.updates and register in i.address:
                self.ready[register] = self.cycle + needs.base, ""
            else:
                latency = needs.flags if register == FLAGS and needs.flags is not None else needs.latency
                self.ready[register] = self.cycle + latency + needs.cycles - 1, needs.result

    def _advance(self, cycle: int) -> None:
        self.cycle, self.pair, self.closed = cycle, [], False

    def _joins(self, i: Instruction, needs: Issue) -> bool:
        """Whether it begins beside what has begun in this cycle."""
        if not self.pair:
            return not self.closed
        if self.closed or len(self.pair) == 2 or needs.older or needs.alone:
            return False
        return self.core.pairs(self.pair[0], i)


class InOrder:
    """The model of a core (`CycleModel`)."""

    def __init__(self, core: Core) -> None:
        self.core, self.name = core, core.name

    def settled(self, pipeline: Pipeline, block: Sequence[Instruction], taken: bool) -> float:
        """Cycles of a block that repeats itself."""
        for _ in range(STEADY):
            self._round(pipeline, block, taken)
        start = pipeline.position
        for _ in range(STEADY):
            self._round(pipeline, block, taken)
        return (pipeline.position - start) / STEADY

    def cycles(self, before: Sequence[Instruction], block: Sequence[Instruction], taken: bool) -> float:
        """Of a block, as `SingleIssue.cycles`. A block that repeats itself is measured once it has settled."""
        pipeline = Pipeline(self.core)
        if before is block:
            return self.settled(pipeline, block, taken)
        pipeline.run(before)
        start = pipeline.position
        if taken:
            pipeline.leave(before)
            if self.core.refill is None:
                start = pipeline.position
        pipeline.run(block)
        return pipeline.position - start

    def mispredicted(self) -> float:
        """Cycles that a branch costs which went the less frequent way."""
        return float(self.core.mispredicted)

    def _round(self, pipeline: Pipeline, block: Sequence[Instruction], taken: bool) -> None:
        pipeline.run(block)
        if taken:
            pipeline.leave(block)
