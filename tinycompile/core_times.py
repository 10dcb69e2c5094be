"""How long each of two cores computes that aren't alike, without running it: by the cycles of their kinds, their clocks
and what each waits for the memories; and where they wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tinycompile.ir import Node
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.fetching import CodePlaces
from tinycompile.layout import Layout
from tinycompile.memory_time import layers_waiting
from tinycompile.planner import Planned
from tinycompile.planner.meetings import Meeting, Span, all_meetings
from tinycompile.planner.pace import Pace
from tinycompile.targets import Board, Memory, seen_by_second


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
    found = [[0.0, 0.0] for _ in planned.kernels]
    for core in range(board.cores if board.second is not None else 1):
        parts = list(_of_core(planned, core))
        there = seen_by_second(board) if core else board
        placed = _seen(layout, there)
        waits = layers_waiting(
            planned.graph,
            [(node, kernel) for _, node, kernel, _ in parts],
            [dict[Memory, int]()] * len(parts),  # what it waits for constants and code its kernel says
            [CodePlaces(placed.flash)] * len(parts),
            placed,
            there,
            planned.offsets,
            [planned.scratch_offsets[step] for step, *_ in parts],
        )
        for (step, _, kernel, part), waiting in zip(parts, waits, strict=True):
            cycles = _cycles(kernel, board, core) + kernel.stalls + kernel.fetches
            cycles += part * waiting["activations"].middle
            found[step][core] = 1000 * cycles / _clock(board, core)
    return [(first, second) for first, second in found]


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


def _of_core(planned: Planned, core: int) -> Iterator[tuple[int, Node, Kernel, float]]:
    """(layer, node, its kernel there, which part of the result it makes) of the layers that a core computes."""
    for step, (node, kernel) in enumerate(zip(planned.graph.nodes, planned.kernels, strict=True)):
        if kernel.halves:
            half = kernel.halves[core]
            size = max(1, planned.graph.types[node.outputs[0]].bytes)
            yield step, node, half.kernel, (half.writes[1] - half.writes[0]) / size
        elif kernel.function is not None and kernel.core == core:
            yield step, node, kernel, 1.0


def _seen(layout: Layout, board: Board) -> Layout:
    """With the memories as a core sees them."""
    own = {memory.name: memory for memory in board.memories}

    def there(memory: Memory) -> Memory:
        return own.get(memory.name, memory)

    return replace(layout, system=there(layout.system), arena=there(layout.arena), flash=there(layout.flash))


def total_times(planned: Sequence[Planned], layout: Layout, board: Board) -> float:
    """Of one inference of each model, in milliseconds."""
    return sum(core_times(each, layout, board).total for each in planned)
