"""What a kernel waits for the memories in which its constants and its copies of them are."""

from __future__ import annotations

from tinycompile.kernels.base import Kernel, Sweeps
from tinycompile.kernels.staged import copy_work
from tinycompile.targets.memory import Memory
from tinycompile.targets.memory_system import WORD, MemorySystem


def sweeps_of(kernel: Kernel, macs: int) -> Sweeps:
    """How a kernel reads its constants; where nobody has counted, once for each product that an element is part of.

    Args:
        macs: of its node.
    """
    return kernel.sweeps or Sweeps(max(1, macs // max(1, kernel.constant_bytes)))


def swept(system: MemorySystem, memory: Memory, size: int, sweeps: Sweeps) -> float:
    """Cycles of waiting for `size` bytes in a memory that are read in this order.

    Once from beginning to end, and of each piece what is missing when it is read again.
    """
    piece = min(size, sweeps.piece or size)
    if not piece:
        return 0.0
    costs = system.costs(memory, "data")
    whole = middle(costs.sweep(size))
    if sweeps.times == 1:
        return whole
    once = whole if piece == size else middle(costs.sweep(piece))
    return whole + (middle(costs.sweep(piece, sweeps.times, sweeps.between)) - once) * size / piece


def middle(bounds: tuple[float, float]) -> float:
    """For decisions, which need one number."""
    return (bounds[0] + bounds[1]) / 2


def ahead_wait(kernel: Kernel, size: int, system: MemorySystem, memory: Memory) -> float:
    """Cycles of waiting for `size` bytes of constants of which the next piece comes by DMA while the core works on one:
    for the first piece, and for what each later one takes longer than that work; without the core's own copies.
    """
    if kernel.copies is None or not size:
        return 0.0
    pieces = -(-kernel.constant_bytes // (kernel.copies.piece or kernel.constant_bytes))
    copied = copy_work(kernel.constant_bytes).cycles
    each = streamed(system, memory, size) / pieces
    work = max(0.0, (kernel.instructions if kernel.cycles is None else kernel.cycles) - copied) / pieces
    return max(0.0, each + (pieces - 1) * max(0.0, each - work) - copied)


def streamed(system: MemorySystem, memory: Memory, size: int) -> float:
    """Cycles in which a memory gives so many bytes that follow each other, without a cache."""
    access, cache = memory.access, system.cache(memory, "data")
    if access is None:
        return 0.0
    if access.bytes_per_cycle is not None:
        return access.fill.middle + size / access.bytes_per_cycle
    return size / (cache.line if cache else WORD) * (access.fill if cache else access.read).middle


def stalls_of(
    kernel: Kernel, macs: int, system: MemorySystem, constants: Memory, scratch: Memory, *, bits: int = 8
) -> int:
    """For `Kernel.stalls`.

    Args:
        macs: of its node.
        constants: the memory in which they are.
        scratch: the memory of its working memory.
        bits: of a weight; with 4 they would take half the bytes.
    """
    size = kernel.read_bytes * bits // 8
    if kernel.ahead:
        found = ahead_wait(kernel, size, system, constants)
    else:
        found = swept(system, constants, size, sweeps_of(kernel, macs))
    if kernel.copies is not None:
        found += swept(system, scratch, kernel.constant_bytes, kernel.copies)
        if kernel.cycles is None and not kernel.ahead:  # LDM and STM: an instruction each, a cycle for each word
            work = copy_work(kernel.constant_bytes)
            found += work.cycles - work.instructions
    return round(found)


def with_stalls(
    kernel: Kernel, macs: int, system: MemorySystem, constants: Memory, scratch: Memory, *, bits: int = 8
) -> Kernel:
    """The kernel with its `stalls`; arguments as of `stalls_of`."""
    return kernel.but(stalls=stalls_of(kernel, macs, system, constants, scratch, bits=bits))
