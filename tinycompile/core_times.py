"""How long each of two cores computes that aren't alike, without running it: by the cycles of their kinds, their clocks
and what each waits for the memories; and where they wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.fetching import CodePlaces
from tinycompile.layout import Layout
from tinycompile.memory_time import layers_waiting
from tinycompile.planner import Planned
from tinycompile.planner.meetings import Meeting, Span, all_meetings
from tinycompile.planner.pace import Pace
from tinycompile.targets import Board, Memory


@dataclass(frozen=True)
class CoreTimes:
    """Of an inference, in milliseconds.

    Attributes:
        layers: what each core takes for each layer, waiting for memories included.
        meetings: what the first core takes for its cache at all meetings.
        total: with what the cores wait for each other.
    """

    layers: tuple[tuple[float, float], ...]
    meetings: float
    total: float

    @property
    def busy(self) -> tuple[float, float]:
        """Of each core, without waiting for the other one."""
        first, second = (sum(each[core] for each in self.layers) for core in (0, 1))
        return first + self.meetings, second


def core_times(planned: Planned, layout: Layout, board: Board) -> CoreTimes:
    """By estimates; of a board that computes on one core, that core's."""
    layers = _layers(planned, layout, board)
    pace = Pace.of(board) if board.cores > 1 else None
    if pace is None:
        return CoreTimes(tuple(layers), 0.0, sum(first for first, _ in layers))
    meetings = {each.layer: each.lines(pace.line) if pace.line else each for each in all_meetings(planned, pace.line)}
    ends, cached = [0.0, 0.0], 0.0
    for index in range(len(layers) + 1):
        if index in meetings:
            taken = 1000 * pace.meeting(_bytes(meetings[index])) / board.clock_hz
            ends, cached = [max(ends[0] + taken, ends[1])] * 2, cached + taken
        if index < len(layers):
            ends = [end + own for end, own in zip(ends, layers[index], strict=True)]
    return CoreTimes(tuple(layers), cached, max(ends))


def _bytes(meeting: Meeting) -> tuple[int, int]:
    first, second = (sum(map(_size, spans)) for spans in meeting.written)
    return first, second


def _size(span: Span) -> int:
    return span.last - span.first


def _layers(planned: Planned, layout: Layout, board: Board) -> list[tuple[float, float]]:
    """Kernels say what they wait for constants and code, those for two cores what they wait for tensors as well."""
    found = [[0.0, 0.0] for _ in planned.kernels]
    both = board.second is not None and board.cores > 1
    waits = [0.0] * len(planned.kernels) if both else _waiting_for_tensors(planned, layout, board)
    for core in range(1 + both):
        for step, kernel in _of_core(planned, core):
            cycles = _cycles(kernel, board, core) + kernel.stalls + kernel.fetches + waits[step]
            found[step][core] = 1000 * cycles / _clock(board, core)
    return [(first, second) for first, second in found]


def _waiting_for_tensors(planned: Planned, layout: Layout, board: Board) -> list[float]:
    """Cycles of each layer where one core computes."""
    count = len(planned.kernels)
    waits = layers_waiting(
        planned.graph,
        list(zip(planned.graph.nodes, planned.kernels, strict=True)),
        [dict[Memory, int]()] * count,
        [CodePlaces(layout.flash)] * count,
        layout,
        board,
        planned,
    )
    return [waiting["activations"].middle for waiting in waits]


def _clock(board: Board, core: int) -> int:
    return board.second.clock_hz if core and board.second is not None else board.clock_hz


def _cycles(kernel: Kernel, board: Board, core: int) -> float:
    """Without waiting."""
    if core and board.second is not None:
        return kernel.instructions * board.second.cycles_per_instruction()
    low, high = board.core.issue.cycles_per_instruction
    if board.core.issue.single_loads:  # kernels that state none take about as many as instructions
        return kernel.instructions if kernel.cycles is None else kernel.cycles
    return kernel.instructions * (low + high) / 2


def _of_core(planned: Planned, core: int) -> Iterator[tuple[int, Kernel]]:
    """The layers that a core computes, each with its kernel there."""
    for step, kernel in enumerate(planned.kernels):
        if kernel.halves:
            yield step, kernel.halves[core].kernel
        elif kernel.function is not None and kernel.core == core:
            yield step, kernel


def total_times(planned: Sequence[Planned], layout: Layout, board: Board) -> float:
    """Of one inference of each model, in milliseconds."""
    return sum(core_times(each, layout, board).total for each in planned)
