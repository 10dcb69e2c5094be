"""What of a firmware goes into which memory of the board."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tinycompile.errors import DoesNotFitError, TargetError
from tinycompile.ir import Graph
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.waiting import with_stalls
from tinycompile.planner import Planned
from tinycompile.targets import Board, Memory
from tinycompile.targets.memory import ram_choices

OWN_CODE_BYTES = 4 * 1024
"""About what a firmware's own code takes; where a limit on the whole is exceeded, planning is repeated with less."""

SYSTEM_BYTES = 3072
"""Kept free for stack, data and the rest of the firmware where the arena shares a region with them."""

CODE_BYTES = 16 * 1024
"""Kept free in the flash for the firmware's own code; kernels come on top, with half of their estimate to spare."""


@dataclass(frozen=True)
class Layout:
    """A memory for everything.

    Attributes:
        system: stack, data and bss.
        arena: inputs, activations, outputs, and scratch unless that is apart.
        scratch: a faster memory than the arena's, for scratch alone; None if it is in the arena.
        flash: code and weights.
        cold: the weights that don't fit there; None if all do.
        weights: where separate weights are, apart from the code; None where they are part of it.
        resident: kernels were chosen for constants in RAM: all of them are copied, if there is room as planned.
        fast: memories that hold copies of code or weights, which start-up makes; they may hold other things as well.
    """

    system: Memory
    arena: Memory
    scratch: Memory | None
    flash: Memory
    cold: Memory | None = None
    weights: Memory | None = None
    resident: bool = False
    fast: tuple[Memory, ...] = ()

    @staticmethod
    def simple(board: Board) -> Layout:
        """Everything in the largest internal memories."""
        return Layout(board.ram, board.ram, None, board.flash)

    @property
    def used(self) -> list[Memory]:
        """Each memory once."""
        parts = (self.flash, self.cold, self.system, self.scratch, self.arena, *self.fast)
        return list(dict.fromkeys(memory for memory in parts if memory is not None))


LAYER, STAGES, AGAIN = "layer", "stages", "again"
"""Every layer after the other; stages whose layers are executed together; stages that may compute something twice."""

_STEPS = {"layer": (LAYER,), "stream": (STAGES, AGAIN), "patch": (AGAIN,), "auto": (LAYER, STAGES, AGAIN)}


class Planner(Protocol):
    """Plans each model; raises DoesNotFitError."""

    def __call__(self, schedule: str, ram_limit: int, scratch_limit: int | None, /) -> list[Planned]:
        """Args:
        ram_limit: bytes for the arena.
        scratch_limit: bytes for scratch elsewhere; None for scratch inside the arena.
        """
        ...


def choose_ram(
    board: Board,
    planner: Planner,
    ram_limit: int | None,
    *,
    schedule: str = "layer",
    least: bool = False,
    again: bool = False,
    state_bytes: int = 0,
    bound: Callable[[str, int | None], int] = lambda _schedule, _scratch_limit: 0,
) -> tuple[list[Planned], Layout]:
    """The plans that take the least time, as far as the costs of memories tell, and where everything is.

    Internal memory comes first, with layers executed one after the other, then in stages where that doesn't fit or
    only with slower kernels; external memory is the last resort.

    Args:
        ram_limit: the user's; then scratch stays in the arena, so that it counts.
        schedule: "layer", "stream", "patch" or "auto".
        least: RAM counts more than time: scratch stays in the arena; the smallest arena of all schedules is taken,
            in the first memory that is large enough.
        again: whether to consider what computes something twice even if there is a plan that doesn't.
        state_bytes: of the models' states, which lie beside the arena.
        bound: bytes that no plan needs less than, by schedule and limit on scratch elsewhere: where there's no room for
            so many, and more elsewhere, nothing is looked for.

    Raises:
        DoesNotFitError: not even in the largest memory.
    """
    search = _Search(board, planner, ram_limit, least, state_bytes, bound)
    for external in (False, True):
        memories = [m for m in ram_choices(board.memories) if m.external == external]
        for each in _STEPS[schedule]:
            if (search.satisfied and not least) or (each == AGAIN and search.found and not again):
                break
            search.try_all(each, memories)
    return search.result()


class _Search:
    """The best plan so far."""

    def __init__(
        self,
        board: Board,
        planner: Planner,
        ram_limit: int | None,
        least: bool,
        state_bytes: int,
        bound: Callable[[str, int | None], int],
    ) -> None:
        self._state_bytes, self._bound = state_bytes, bound
        self._board, self._planner, self._ram_limit, self._least = board, planner, ram_limit, least
        self._best: tuple[float, list[Planned], Layout] | None = None
        self._failures: dict[str, DoesNotFitError] = {}

    @property
    def found(self) -> bool:
        return self._best is not None

    @property
    def satisfied(self) -> bool:
        """There is a plan, and none of its kernels is a slower one for want of RAM."""
        return self._best is not None and not any(planned.squeezed for planned in self._best[1])

    def try_all(self, schedule: str, memories: Sequence[Memory]) -> None:
        """Keep what is faster than the best so far. External memory only if there is nothing else."""
        rooms = [self._room(memory) for memory in memories]
        for position, (memory, room) in enumerate(zip(memories, rooms, strict=True)):
            system = _system_memory(self._board, memory)
            limit = self._limit(room)
            if limit <= 0 or (memory.external and self._best is not None):
                continue
            apart = self._ram_limit is None and not self._least and system.cost < memory.cost and schedule == LAYER
            scratch_limit = system.bytes - SYSTEM_BYTES if apart else None
            larger = any(self._limit(later) > limit for later in rooms[position + 1 :])
            if larger and self._bound(schedule, scratch_limit) > limit:
                continue
            try:
                planned = self._planner(schedule, limit, scratch_limit)
            except DoesNotFitError as error:
                self._failures[schedule] = error
                continue
            scratch = system if any(p.scratch_bytes for p in planned) else None
            time = memory.cost * sum(p.price for p in planned)
            cost = float(max(p.arena_bytes for p in planned)) if self._least else time
            if self._best is None or cost < self._best[0]:
                self._best = cost, planned, Layout(system, memory, scratch, self._board.flash)
            if self._least or limit < room or not any(p.squeezed for p in planned):
                break  # more memory would change nothing

    def _room(self, memory: Memory) -> int:
        """Bytes for an arena."""
        system = _system_memory(self._board, memory)
        return memory.bytes - (SYSTEM_BYTES if system == memory else 0) - self._state_bytes

    def _limit(self, room: int) -> int:
        return room if self._ram_limit is None else min(room, self._ram_limit)

    def result(self) -> tuple[list[Planned], Layout]:
        if self._best is not None:
            return self._best[1], self._best[2]
        layer, stages = self._failures.get(LAYER), self._failures.get(AGAIN)
        if layer and stages:
            least = min((layer, stages), key=lambda error: error.smallest_bytes)
            least.hint = (
                f"it fits from {layer.smallest_bytes:,} bytes executed layer by layer, from {stages.smallest_bytes:,} "
                "by rows or patches (--schedule auto): a larger --ram, another target, or a smaller model or input"
            )
            least.args = (least.render(),)
            raise least
        raise layer or stages or DoesNotFitError(f"{self._board.name} has no RAM for an arena")


def _system_memory(board: Board, arena: Memory) -> Memory:
    """The cheapest internal memory that is large enough, or the arena's where they would overlap. Start-up writes to it
    before the board's code sets anything up."""
    ready = [m for m in board.memories if not m.external and not m.setup]
    internal = [m for m in ram_choices(ready) if m.bytes >= SYSTEM_BYTES]
    cheapest = internal[0] if internal else board.ram
    overlap = cheapest.origin < arena.end and arena.origin < cheapest.end
    return arena if overlap else cheapest


def weights_memory(board: Board, size: int) -> Memory:
    """Where separate weights of this size go.

    Raises:
        TargetError: board.toml doesn't say. DoesNotFitError: the place is too small.
    """
    where = str(board.folder / "board.toml")
    if board.weights is None:
        raise TargetError(
            f"{board.name} has no place for separate weights",
            where=where,
            why="--flash-offset leaves nothing in front of it"
            if board.flash_offset
            else "there is no [weights] section",
            hint="add one with origin and bytes (docs/separate_weights.md), or use --weights embedded",
        )
    if size > board.weights.bytes:
        raise DoesNotFitError(
            f"the weights take {size:,} bytes, their place has {board.weights.bytes:,}",
            where=where,
            hint="a larger [weights] section, in external flash where the chip's own is too small",
        )
    return board.weights


def check_attributes(board: Board, layout: Layout) -> None:
    """Memory that the firmware uses is Normal, or nothing depends on that.

    Raises:
        TargetError: a memory is Device: code can't run there, and data need aligned words.
    """
    for memory in (*layout.used, *([layout.weights] if layout.weights else [])):
        if not board.is_device(memory):
            continue
        where = str(board.folder / "board.toml")
        region = f"{memory.name!r} (from {memory.origin:#010x} on)"
        by_mpu = f'an MPU region, and mpu = "write-back" in [memory.{memory.name}] (docs/silicon.md)'
        if memory == layout.flash:
            raise TargetError(
                f"{region} is Device memory, in which nothing can be executed",
                where=where,
                why="so says the core's default memory map, and its table names no MPU region",
                hint=by_mpu,
            )
        if board.alignment == "any":
            raise TargetError(
                f"{region} is Device memory, in which unaligned words are a fault",
                where=where,
                why="so says the core's default memory map, its table names no MPU region, and kernels use such words",
                hint=f"--align strict, or {by_mpu}",
            )


def _code_bytes(functions: Iterable[int]) -> int:
    """What is kept free for code, with functions of these sizes."""
    return CODE_BYTES + 3 * sum(functions) // 2


def initial_bytes(graphs: Iterable[Graph]) -> int:
    """Of flash: what states begin with, if they aren't full of one byte."""
    initial = (graph.types[state.name].dtype.pack(state.initial) for graph in graphs for state in graph.states)
    return sum(packed.nbytes for packed in initial if len(set(packed.tobytes())) > 1)


def cold_constants(board: Board, kernels: Sequence[Kernel], macs: Sequence[int], initial: int = 0) -> set[Constant]:
    """The constant arrays that go to external flash: none if everything fits the internal one.

    The coldest go first: those that an inference waits for least, per byte, more than in internal flash; where memories
    cost nothing, those that it reads least often per byte. Of equally cold ones the largest.

    Args:
        macs: of each kernel's node. initial: bytes of the internal flash that states begin with.
    """
    constants, cold = initial + sum(kernel.constant_bytes for kernel in kernels), set[Constant]()
    if board.external_flash is None or constants + _code_bytes(k.code_bytes for k in kernels) <= board.flash.bytes:
        return cold
    functions = {kernel.function: kernel.code_bytes for kernel in kernels}  # equal text is one function
    excess = constants + _code_bytes(functions.values()) - board.flash.bytes
    if excess <= 0:
        return cold
    arrays = [
        (coldness(kernel, work, board), -constant.bytes, index, constant)
        for index, (kernel, work) in enumerate(zip(kernels, macs, strict=True))
        for constant in kernel.constants
        if constant.lent is None
    ]
    for _, negative_bytes, _, constant in sorted(arrays, key=lambda a: a[:3]):
        if excess <= 0:
            break
        cold.add(constant)
        excess += negative_bytes
    return cold


def coldness(kernel: Kernel, macs: int, board: Board) -> float:
    """Of a kernel's constants, per byte: the cycles that it takes longer to wait for them in external flash, or the
    products that they are part of.
    """
    system, size, outside = board.memory_system, max(1, kernel.constant_bytes), board.external_flash
    if system.is_free or outside is None:
        return macs / size
    waits = [with_stalls(kernel, macs, system, memory, board.ram).stalls for memory in (outside, board.flash)]
    return round((waits[0] - waits[1]) / size, 3)
