"""What of a firmware goes into which memory of the board."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tinycompile.errors import DoesNotFitError
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.planner import Planned
from tinycompile.targets import Board, Memory
from tinycompile.targets.memory import ram_choices

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
    """

    system: Memory
    arena: Memory
    scratch: Memory | None
    flash: Memory
    cold: Memory | None = None

    @staticmethod
    def simple(board: Board) -> Layout:
        """Everything in the largest internal memories."""
        return Layout(board.ram, board.ram, None, board.flash)

    @property
    def used(self) -> list[Memory]:
        """Each memory once."""
        parts = (self.flash, self.cold, self.system, self.scratch, self.arena)
        return list(dict.fromkeys(memory for memory in parts if memory is not None))


Planner = Callable[[int, int | None], list[Planned]]
"""(bytes for the arena, bytes for scratch elsewhere or None) -> plan per model; raises DoesNotFitError."""


def choose_ram(
    board: Board, planner: Planner, ram_limit: int | None, *, least: bool = False
) -> tuple[list[Planned], Layout]:
    """The plans that take the least time, as far as the costs of memories tell, and where everything is.

    Args:
        ram_limit: the user's; then scratch stays in the arena, so that it counts.
        least: RAM counts more than time: scratch stays in the arena, the first memory that is large enough is taken.

    Raises:
        DoesNotFitError: not even in the largest memory.
    """
    best: tuple[float, list[Planned], Layout] | None = None
    failure: DoesNotFitError | None = None
    for memory in ram_choices(board.memories):
        system = _system_memory(board, memory)
        room = memory.bytes - (SYSTEM_BYTES if system == memory else 0)
        limit = room if ram_limit is None else min(room, ram_limit)
        if limit <= 0:
            continue
        scratch = system if ram_limit is None and not least and system.cost < memory.cost else None
        try:
            planned = planner(limit, None if scratch is None else scratch.bytes - SYSTEM_BYTES)
        except DoesNotFitError as error:
            failure = error
            continue
        if not any(p.scratch_bytes for p in planned):
            scratch = None
        time = memory.cost * sum(p.instructions for p in planned)
        if best is None or time < best[0]:
            best = time, planned, Layout(system, memory, scratch, board.flash)
        if least or limit < room or not any(_is_squeezed(p) for p in planned):
            break  # more memory would change nothing
    if best is None:
        raise failure or DoesNotFitError(f"{board.name} has no RAM for an arena")
    return best[1], best[2]


def _is_squeezed(planned: Planned) -> bool:
    """Whether more RAM would allow faster kernels."""
    return any("RAM" in reason for reason in planned.reasons)


def _system_memory(board: Board, arena: Memory) -> Memory:
    """The cheapest internal memory that is large enough, or the arena's where they would overlap."""
    internal = [m for m in ram_choices(board.memories) if not m.external and m.bytes >= SYSTEM_BYTES]
    cheapest = internal[0] if internal else board.ram
    overlap = cheapest.origin < arena.end and arena.origin < cheapest.end
    return arena if overlap else cheapest


def cold_constants(board: Board, kernels: Sequence[Kernel], macs: Sequence[int]) -> Mapping[int, Constant]:
    """The constant arrays that go to external flash, by `id`: none if everything fits the internal one.

    The coldest go first: those that an inference reads least often per byte; of equally cold ones the largest.

    Args:
        macs: of each kernel's node; a weight is read about (macs / bytes) times.
    """
    code = CODE_BYTES + 3 * sum({id(k.function): k.code_bytes for k in kernels}.values()) // 2
    room = board.flash.bytes - code
    excess = sum(kernel.constant_bytes for kernel in kernels) - room
    cold = dict[int, Constant]()
    if excess <= 0 or board.external_flash is None:
        return cold
    arrays = [
        (work / max(1, constant.values.nbytes), -constant.values.nbytes, index, constant)
        for index, (kernel, work) in enumerate(zip(kernels, macs, strict=True))
        for constant in kernel.constants
    ]
    for _, negative_bytes, _, constant in sorted(arrays, key=lambda a: a[:3]):
        if excess <= 0:
            break
        cold[id(constant)] = constant
        excess += negative_bytes
    return cold
