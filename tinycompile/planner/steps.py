"""An inference in steps: what `<model>_invoke_steps` executes between two returns to its caller.

A step is some short layers, some rows of a long one (`pieces`), or a tick or a patch of a stage. None takes more than a
limit if it can be helped. The plan stays as it is: pieces are computed where their layer is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tinycompile.errors import UsageError
from tinycompile.kernels.base import Kernel
from tinycompile.planner import Planned
from tinycompile.planner.candidates import TICK_INSTRUCTIONS, TURN_INSTRUCTIONS, moves
from tinycompile.planner.channel_pieces import divided_by_channels
from tinycompile.planner.pieces import Memory, NotDivisible, Offer, Piece, Region, added_bytes, axis_of, divided
from tinycompile.planner.stage import Firing, Stage

ROOM = Fraction(19, 20)
"""Of the limit that a step may take by its kernels' estimates, which are right to a few per cent."""

CALL_INSTRUCTIONS = 40
"""Around a step: the loop over steps, the look into their table, the jump."""

ATTEMPTS = 12
"""Of how many pieces a layer should have."""

TILE = 4
"""Rows that some kernels compute together at most, so that pieces of a multiple of them cost nothing."""


@dataclass(frozen=True)
class Limit:
    """What a step may take: instructions, or a part of the inference.

    Attributes:
        share: of the inference; instructions where it is None.
    """

    share: Fraction | None
    instructions: int = 0

    def of(self, inference: int) -> int:
        """Instructions, of an inference of so many."""
        return self.instructions if self.share is None else int(self.share * inference)


def read_limit(text: str) -> Limit:
    """From "5%", "200000", "200k" or "2M". Raises UsageError."""
    number, unit = text.strip(), Fraction(1)
    for suffix, factor in (("%", Fraction(1, 100)), ("k", Fraction(1000)), ("M", Fraction(1000000))):
        if number.lower().endswith(suffix.lower()):
            number, unit = number[: -len(suffix)], factor
            break
    share = text.strip().endswith("%")
    if not re.fullmatch(r"\d+(\.\d+)?", number) or not (value := Fraction(number) * unit) or (share and value > 1):
        raise UsageError(f"--steps {text!r} is no limit", hint="a part of the inference, 5%, or instructions, 200k")
    return Limit(value) if share else Limit(None, int(value))


@dataclass(frozen=True)
class WholeLayers:
    """Layers [first, last), one after the other."""

    first: int
    last: int
    instructions: int
    times: int = 1


@dataclass(frozen=True, eq=False)
class Rows:
    """Pieces of a layer that are all computed by the same call; what they read and write advances from one to the next.
    Where `offsets` says what of each constant they read, rows are channels.

    Attributes:
        layer: its index. rows: of the first piece, of all those that follow it as many. size: rows of the layer.
        reads: of each operand in RAM that is divided, (the first byte, bytes from piece to piece). writes: of the
            output. last: whether the layer is done after them.
    """

    layer: int
    rows: range
    size: int
    kernel: Kernel
    reads: dict[int, tuple[int, int]]
    writes: tuple[int, int]
    times: int
    last: bool
    offsets: tuple[tuple[int, int], ...] = ()

    @property
    def instructions(self) -> int:
        return self.kernel.instructions + CALL_INSTRUCTIONS


@dataclass(frozen=True, eq=False)
class StageTurns:
    """A tick of a stage, or a patch of it: `times` in all."""

    index: int
    stage: Stage
    instructions: int
    times: int


Step = WholeLayers | Rows | StageTurns


@dataclass(frozen=True, eq=False)
class Steps:
    """All of them.

    Attributes:
        limit: instructions that one should take at most.
    """

    limit: int
    steps: tuple[Step, ...]

    @property
    def longest(self) -> Step:
        """The one that takes most, the first of several."""
        return max(self.steps, key=lambda step: step.instructions)

    @property
    def count(self) -> int:
        return sum(step.times for step in self.steps)

    @property
    def total(self) -> int:
        """Instructions of all steps."""
        return sum(step.instructions * step.times for step in self.steps)

    @property
    def kernels(self) -> list[Kernel]:
        """Those of pieces."""
        return [step.kernel for step in self.steps if isinstance(step, Rows)]


def in_steps(planned: Planned, limit: Limit, offer: Offer) -> Steps:
    """The steps of a plan.

    Args:
        offer: the kernels of a node, for pieces.
    """
    most = max(1, limit.of(planned.instructions))
    starts = {stage.first: (index, stage) for index, stage in enumerate(planned.stages)}
    found, layer = list[Step](), 0
    while layer < len(planned.graph.nodes):
        if layer in starts:
            index, stage = starts[layer]
            found.append(_turns(planned, index, stage))
            layer = stage.last
            continue
        kernel = planned.kernels[layer]
        if kernel.function is None:
            found.append(WholeLayers(layer, layer + 1, 0))
        elif kernel.instructions + CALL_INSTRUCTIONS > ROOM * most:
            found += _long(planned, layer, int(ROOM * most), offer)
        else:
            found.append(WholeLayers(layer, layer + 1, kernel.instructions + CALL_INSTRUCTIONS))
        layer += 1
    steps = tuple(_joined(found, int(ROOM * most)))
    return Steps(most, steps or (WholeLayers(0, 0, 0),))


def _joined(steps: Sequence[Step], most: int) -> Iterator[Step]:
    """With layers that are short enough together as one step."""
    open_: WholeLayers | None = None
    for step in steps:
        if not isinstance(step, WholeLayers):
            if open_ is not None:
                yield open_
            open_ = None
            yield step
        elif open_ is None:
            open_ = step
        elif open_.instructions + step.instructions <= most:
            open_ = WholeLayers(open_.first, step.last, open_.instructions + step.instructions)
        else:
            yield open_
            open_ = step
    if open_ is not None:
        yield open_


def _long(planned: Planned, layer: int, most: int, offer: Offer) -> list[Step]:
    """A layer that takes longer than a step should, in pieces: with few instructions more, and where that does with the
    constants that are there."""
    kernel = planned.kernels[layer]
    whole: list[Step] = [WholeLayers(layer, layer + 1, kernel.instructions + CALL_INSTRUCTIONS)]
    best, least = whole, (True, 0, kernel.instructions + CALL_INSTRUCTIONS)
    for rows in _sizes(planned, layer, most):
        pieces = _pieces(planned, layer, rows, offer)
        if len(pieces) < 2:
            continue
        longest = max(piece.kernel.instructions for piece in pieces) + CALL_INSTRUCTIONS
        more = max(0, sum(piece.kernel.price for piece in pieces) - kernel.price)
        found = longest > most, added_bytes(kernel, pieces), max(longest, most) + more
        if found < least:
            best, least = list[Step](_runs(layer, pieces)), found
    return best


def _sizes(planned: Planned, layer: int, most: int) -> list[int]:
    """How many rows pieces could have: so many that none takes too long, and fewer; or as kernels do together."""
    t = planned.graph.types[planned.graph.nodes[layer].outputs[0]]
    try:
        size = t.shape[axis_of(t)]
    except NotDivisible:
        size = t.elements
    if size < 2:
        return []
    largest = min(size - 1, max(1, size * most // planned.kernels[layer].instructions))
    even = [-(-size // count) for count in range(-(-size // largest), min(size, -(-size // largest) + ATTEMPTS) + 1)]
    tiles = [rows // TILE * TILE for rows in even] + [TILE // 2, TILE]
    return sorted({1, *even, *(rows for rows in tiles if 0 < rows < size)}, reverse=True)


def _pieces(planned: Planned, layer: int, rows: int, offer: Offer) -> list[Piece]:
    """None where it can't be divided like that."""
    node, kernel = planned.graph.nodes[layer], planned.kernels[layer]
    if planned.kept.intersection((*node.inputs, *node.outputs)):
        return []
    output = planned.offsets[node.outputs[0]]
    operands = {i: planned.offsets[name] - output for i, name in enumerate(node.inputs) if name in planned.offsets}
    site, memory = planned.graph.site(node), Memory(operands, kernel.scratch_bytes)
    try:
        one_position = site.sig.output.elements == site.sig.output.shape[-1] if site.sig.output.shape else True
        return (divided_by_channels if one_position else divided)(site, rows, kernel, memory, offer)
    except NotDivisible:
        return []


def _runs(layer: int, pieces: Sequence[Piece]) -> Iterator[Rows]:
    """Pieces that follow each other at equal distances, with the same kernel, together."""
    first = 0
    for end in range(1, len(pieces) + 1):
        if end < len(pieces) and _continues(pieces[first:end], pieces[end]):
            continue
        run = pieces[first:end]
        reads = {o: _advance([piece.part.reads[o] for piece in run]) for o in run[0].part.reads}
        writes = _advance([piece.part.writes for piece in run])
        rows, size = run[0].part.rows, pieces[-1].part.rows.stop
        offsets = tuple(_advance([(piece.offsets[i], 0) for piece in run]) for i in range(len(run[0].offsets)))
        yield Rows(layer, rows, size, run[0].kernel, reads, writes, len(run), end == len(pieces), offsets)
        first = end


def _continues(run: Sequence[Piece], piece: Piece) -> bool:
    """Whether a piece is like those of a run, and as far behind the last as that is behind the one before it."""
    last = run[-1]
    if piece.kernel.function != last.kernel.function or piece.part.shapes != last.part.shapes:
        return False
    if len(run) == 1:
        return True
    before = run[-2].part
    pairs = [(before.writes, last.part.writes, piece.part.writes)]
    pairs += [(before.reads[o], last.part.reads[o], piece.part.reads[o]) for o in last.part.reads]
    even = zip(run[-2].offsets, last.offsets, piece.offsets, strict=True)
    return all(b[0] - a[0] == c[0] - b[0] for a, b, c in pairs) and all(b - a == c - b for a, b, c in even)


def _advance(regions: Sequence[Region]) -> tuple[int, int]:
    return regions[0][0], regions[1][0] - regions[0][0] if len(regions) > 1 else 0


def _turns(planned: Planned, index: int, stage: Stage) -> StageTurns:
    """Instructions of the tick in which most is computed."""
    firings = [(firing, _of_a_turn(planned, stage, firing)) for firing in stage.firings]
    ticks = range(stage.ticks) if stage.mode == "stream" else range(1)
    most = max(sum(count for f, count in firings if stage.mode == "patch" or _fires(f, tick)) for tick in ticks)
    around = TICK_INSTRUCTIONS * len(firings) + CALL_INSTRUCTIONS
    return StageTurns(index, stage, most + around, stage.ticks * stage.tiles)


def _of_a_turn(planned: Planned, stage: Stage, firing: Firing) -> int:
    """Instructions of a layer's turn, its line buffer's move included."""
    kernel, lines = planned.kernels[firing.step], stage.lines.get(planned.graph.nodes[firing.step].outputs[0])
    moved = 0 if lines is None else moves(1, lines.bytes - firing.site.sig.output.bytes)
    return kernel.instructions // kernel.calls + TURN_INSTRUCTIONS + moved


def _fires(firing: Firing, tick: int) -> bool:
    """Whether a layer of a stream has its turn."""
    since = tick - firing.phase
    return since >= 0 and since % firing.period == 0 and since // firing.period < firing.total
