"""Which rows a step computes, and which it keeps for the next one.

From the outputs backwards: of a value the rows that somebody reads are needed. What was there a step before is kept, in
a *line* that reaches from the first such row to where the new rows begin; everything else is computed. A row at the top
of the window is often needed again long after it was computed at the bottom. The line that carries it there may be
longer than computing it again is dear: `rows_of` weighs one against the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

from tinycompile.ir import Graph
from tinycompile.passes.slide_averages import Average
from tinycompile.passes.slide_motion import Divided, Moving, runs_of

AGAIN = Fraction(1, 10)
"""So much more work than the least may be done in a step to keep fewer rows."""

Skips = Mapping[str, int]
"""By value, how many of the runs of rows that are needed and were there before aren't kept, from the top on."""


@dataclass(frozen=True)
class Rows:
    """What a step does with a value that moves.

    Attributes:
        computed: runs of rows, ascending; of an input those that the caller gives.
        kept: rows that are in a line when the step begins; may be none.
        skippable: how many runs of the kept rows may be computed again in place of being kept.
    """

    computed: tuple[range, ...]
    kept: range
    skippable: int


@dataclass(frozen=True, eq=False)
class Step:
    """All rows of a step.

    Attributes:
        rows: by value that moves.
        averages: of moving values that are averaged by sums of their rows, by the name of the result.
        work: multiply-accumulates and elements that are computed, for comparison. kept_bytes: of all lines.
    """

    rows: Mapping[str, Rows]
    averages: Mapping[str, Average]
    work: Fraction
    kept_bytes: int


def rows_of(graph: Graph, moving: Moving, averages: Mapping[str, Average], again: Fraction = AGAIN) -> Step:
    """What a step computes and keeps.

    Args:
        averages: those to compute by sums.
        again: so much more work than the least may be done to keep less; what saves most bytes for its work goes first.
    """
    best = _step(graph, moving, averages, {})
    most = (1 + again) * best.work
    skips: Skips = {}
    while True:
        found = list[tuple[Fraction, Skips, Step]]()
        for name in (name for name, rows in best.rows.items() if rows.skippable):
            for more, other in _without(graph, moving, averages, skips, name, best):
                if other.work > most:
                    break
                saved = best.kept_bytes - other.kept_bytes
                if saved > 0:
                    found.append((saved / max(other.work - best.work, Fraction(1)), more, other))
        if not found:
            return best
        _, skips, best = max(found, key=lambda each: each[0])


def _without(
    graph: Graph, moving: Moving, averages: Mapping[str, Average], skips: Skips, name: str, before: Step
) -> Iterator[tuple[Skips, Step]]:
    """What it means to keep a run of rows less of a value; then, of those kept in its place, too, and so on."""
    fewer: Collection[str] = [name]
    while fewer:
        skips = {**skips, **{each: skips.get(each, 0) + 1 for each in fewer}}
        step = _step(graph, moving, averages, skips)
        yield skips, step
        fewer = [
            each for each, rows in step.rows.items() if rows.skippable and len(rows.kept) > len(before.rows[each].kept)
        ]


def _step(graph: Graph, moving: Moving, averages: Mapping[str, Average], skips: Skips) -> Step:
    needed, found = defaultdict[str, set[int]](set), dict[str, Rows]()
    work, kept_bytes = Fraction(0), 0
    for name in graph.outputs:
        if name in moving.motions:
            needed[name].update(moving.motions[name].everything)
    for node in reversed(graph.nodes):
        value = node.outputs[0]
        divided = moving.divided.get(value)
        if value in averages:
            needed[node.inputs[0]].update(averages[value].read)
            kept_bytes += averages[value].bytes
        elif divided is None:
            for name in node.inputs:
                if name in moving.motions:
                    needed[name].update(moving.motions[name].everything)
        else:
            rows = found[value] = _rows(divided, needed[value], skips.get(value, 0))
            for run in rows.computed:
                for operand, reading in divided.readings.items():
                    needed[node.inputs[operand]].update(reading.rows(run)[0])
            share = Fraction(sum(map(len, rows.computed)), divided.motion.size)
            work += share * (node.op.macs(graph.signature(node)) + graph.types[value].elements)
            kept_bytes += len(rows.kept) * graph.types[value].bytes // divided.motion.size
    for name in graph.inputs:
        if name in moving.motions:
            motion = moving.motions[name]
            before = needed[name].intersection(motion.valid)
            kept = range(min(before), motion.valid.stop) if before else range(0)
            found[name] = Rows((range(motion.valid.stop, motion.size),), kept, 0)
            kept_bytes += len(kept) * graph.types[name].bytes // motion.size
    return Step(found, averages, work, kept_bytes)


def _rows(divided: Divided, needed: Collection[int], skipped: int) -> Rows:
    """Rows that reach to where the new ones begin are always kept: the windows of the rows behind begin with them."""
    motion = divided.motion
    runs = runs_of(sorted(row for row in needed if row in motion.valid))
    dear = sum(run.stop < motion.valid.stop for run in runs)
    skipped = min(skipped, dear)
    if skipped == len(runs):
        return Rows(_computable(divided, needed), range(0), 0)
    kept = range(runs[skipped].start, motion.valid.stop)
    entering = range(kept.stop, kept.stop + motion.shift)
    computed = {row for row in needed if row not in kept}.union(entering)
    return Rows(_computable(divided, computed), kept, dear - skipped)


def _computable(divided: Divided, rows: Collection[int]) -> tuple[range, ...]:
    """Runs of rows, with so many neighbours that each reads some row of every operand, not padding alone."""
    found = set[int]()
    for run in runs_of(sorted(rows)):
        while not all(reading.rows(run)[0] for reading in divided.readings.values()):
            run = range(max(0, run.start - 1), min(divided.motion.size, run.stop + 1))
        found.update(run)
    return tuple(runs_of(sorted(found)))
