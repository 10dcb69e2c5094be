"""What a kernel waits for its own code, where that lies in a memory that makes the core wait."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from tinycompile.kernels.base import Kernel
from tinycompile.kernels.hot_code import HotFunction
from tinycompile.kernels.waiting import middle
from tinycompile.targets.access_time import Cycles
from tinycompile.targets.core import Core
from tinycompile.targets.memory import Memory
from tinycompile.targets.memory_system import Costs, MemorySystem

WIDE, NARROW = 3.7, 2.1
"""Bytes of an instruction in the loops of kernels: Thumb-2 with the DSP extension's 32 bits, and 16 bits only."""

LOOPS_FROM, LOOPS_TO = 1.4, 2.2
"""Where nobody has counted a kernel's loops they are a part of its code: none is larger than the cache up to so many
times its size, and all that matter are from so many times on (measured: 64 layers on an STM32F407)."""


class Code(NamedTuple):
    """A part of a kernel's code that can be copied to another memory on its own.

    Attributes:
        name: of the function in C; None for all that isn't one of `Kernel.hot`.
        bytes: estimated.
        share: of the kernel's instructions that it executes, where nobody has counted its loops; else 0.
    """

    kernel: Kernel
    name: str | None
    bytes: int
    hot: HotFunction | None = None
    share: float = 0.0

    def wait(self, memory: Memory, system: MemorySystem, core: Core) -> Cycles:
        """In all calls of the kernel: once in each, and what a cache doesn't keep from one round of a loop to the next.

        Where the controller reads code ahead, waiting may overlap with execution: then it costs nothing at best.
        """
        return Cycles(*self.bounds(system.costs(memory, "instructions"), core))

    def bounds(self, memory: Costs, core: Core) -> tuple[float, float]:
        """Those of `wait`."""
        cache, calls = memory.cache, self.kernel.calls
        if cache is None:
            return memory.fetch(round(self.share * executed_bytes(self.kernel, core)))
        low, high = memory.fetch(self.bytes)
        low, high = low * calls, high * calls
        for loop in self.hot.loops if self.hot else ():
            more = memory.fetch_again(loop.bytes, loop.rounds * calls, loop.between)
            low, high = low + more[0], high + more[1]
        if self.kernel.hot is None:
            part = min(1.0, max(0.0, (self.kernel.code_bytes / cache.bytes - LOOPS_FROM) / (LOOPS_TO - LOOPS_FROM)))
            more = memory.fetch(round(self.share * executed_bytes(self.kernel, core)))
            low, high = low + more[0] * part, high + more[1] * part
        return low, high


def executed_bytes(kernel: Kernel, core: Core) -> float:
    """Of all instructions of all calls, each time that they are executed."""
    return kernel.instructions * (WIDE if core.has("thumb2") else NARROW)


def code_of(kernel: Kernel) -> Iterator[Code]:
    """A kernel's code in parts: its hot functions and the rest."""
    hot = kernel.hot or ()
    whole = max(1, kernel.code_bytes)
    for function in hot:
        yield Code(kernel, function.name, function.bytes, function, min(1.0, function.bytes / whole))
    rest = max(0, kernel.code_bytes - sum(function.bytes for function in hot))
    yield Code(kernel, None, rest, None, rest / whole)


@dataclass(frozen=True)
class CodePlaces:
    """Where a kernel's code is.

    Attributes:
        flash: all that start-up doesn't copy.
        copied: where functions are that it copies, by name; others' as well.
        rest: which part of the code that isn't one of `Kernel.hot` is in each memory; None for all in `flash`.
    """

    flash: Memory
    copied: Mapping[str, Memory] = field(default_factory=dict[str, Memory])
    rest: Mapping[Memory, float] | None = None

    @staticmethod
    def by_size(
        kernel: Kernel, names: Iterable[str], size: Mapping[str, int], copied: Mapping[str, Memory], flash: Memory
    ) -> CodePlaces:
        """Of a kernel that was compiled: of what isn't hot, each memory has as much as of its bytes.

        Args:
            names: of its functions. size: bytes of each.
        """
        hot, parts = {function.name for function in kernel.hot or ()}, defaultdict[Memory, float](float)
        rest = [name for name in names if name not in hot]
        whole = sum(size[name] for name in rest)
        for name in rest:
            parts[copied.get(name, flash)] += size[name] / whole
        return CodePlaces(flash, copied, dict(parts) or None)

    def of(self, code: Code) -> Mapping[Memory, float]:
        """Which part of it is in each memory."""
        if code.name is not None:
            return {self.copied.get(code.name, self.flash): 1.0}
        return {self.flash: 1.0} if self.rest is None else self.rest


def fetch_waits(kernel: Kernel, places: CodePlaces, system: MemorySystem, core: Core) -> dict[Memory, Cycles]:
    """What a kernel waits for its code in each memory."""
    found = defaultdict[Memory, Cycles](Cycles)
    for code in code_of(kernel):
        for memory, part in places.of(code).items():
            found[memory] += code.wait(memory, system, core) * part
    return dict(found)


def priced_code(
    kernel: Kernel, flash: Memory, fast: Memory | None, byte: float, system: MemorySystem, core: Core
) -> float:
    """Cycles of a call that its code costs: waiting for it in flash, or in RAM, whose bytes have a price.

    Args:
        fast: where start-up may copy functions; None where it may not.
        byte: cycles that a byte of it is worth.
    """
    total, slow = 0.0, system.costs(flash, "instructions")
    quick = None if fast is None else system.costs(fast, "instructions")
    for code in code_of(kernel):
        wait = middle(code.bounds(slow, core))
        total += wait if quick is None else min(wait, middle(code.bounds(quick, core)) + byte * code.bytes)
    return total
