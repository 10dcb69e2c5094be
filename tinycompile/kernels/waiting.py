"""What a kernel waits for the memories in which its constants and its copies of them are."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.kernels.base import Kernel, Sweeps
from tinycompile.kernels.staged import copy_work
from tinycompile.targets.memory import Memory
from tinycompile.targets.memory_system import MemorySystem


def sweeps_of(kernel: Kernel, macs: int) -> Sweeps:
    """How a kernel reads its constants; where nobody has counted, once for each product that an element is part of.

    Args:
        macs: of its node.
    """
    return kernel.sweeps or Sweeps(max(1, macs // max(1, kernel.constant_bytes)))


def swept(system: MemorySystem, memory: Memory, size: int, sweeps: Sweeps) -> float:
    """Cycles of waiting for `size` bytes in a memory that are read in this order."""
    piece = min(size, sweeps.piece or size)
    if not piece:
        return 0.0
    return system.sweep(memory, piece, times=sweeps.times, between=sweeps.between).middle * size / piece


def constants_wait(kernel: Kernel, macs: int, system: MemorySystem, memory: Memory) -> float:
    """Cycles of waiting for its constants in this memory."""
    return swept(system, memory, kernel.constant_bytes, sweeps_of(kernel, macs))


def with_stalls(kernel: Kernel, macs: int, system: MemorySystem, constants: Memory, scratch: Memory) -> Kernel:
    """The kernel with its `stalls`.

    Args:
        macs: of its node.
        constants: the memory in which they are.
        scratch: the memory of its working memory.
    """
    found = constants_wait(kernel, macs, system, constants)
    if kernel.copies is not None:
        found += swept(system, scratch, kernel.constant_bytes, kernel.copies)
        if kernel.cycles is None:  # LDM and STM are an instruction each, and a cycle for each word
            work = copy_work(kernel.constant_bytes)
            found += work.cycles - work.instructions
    return replace(kernel, stalls=round(found))
