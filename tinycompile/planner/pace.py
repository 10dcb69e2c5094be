"""What a second core takes that is another one than the first: in the unit of the first one's prices."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, lcm

from tinycompile.kernels.base import Kernel
from tinycompile.planner.problem import whole_units
from tinycompile.targets import Board

MEETING_CYCLES = 100
"""Of the first core at a meeting to which the other one has come, beside lines of its cache: barriers, and looking."""

LINE_CYCLES = (24, 8)
"""For a line that it writes back, about what one takes on the bus behind the cache, and for one that it forgets."""


@dataclass(frozen=True)
class Pace:
    """See the module.

    Attributes:
        instruction: what an instruction of the second core takes. wait: what a cycle takes that it waits for memory.
        line: bytes of the lines of a cache that only the first core has; 0 for none.
    """

    instruction: float
    wait: float
    line: int = 0

    @staticmethod
    def of(board: Board) -> Pace | None:
        """None where the cores are alike."""
        second = board.second
        if second is None:
            return None
        low, high = board.core.issue.cycles_per_instruction
        unit = 1.0 if board.core.issue.single_loads else (low + high) / 2  # kernels for such a core state cycles
        ratio = board.clock_hz / second.clock_hz
        return Pace(second.cycles_per_instruction() * ratio / unit, ratio, second.line)

    def price(self, kernel: Kernel) -> int:
        """On the second core, of a kernel with what that one waits for memories."""
        return round(kernel.instructions * self.instruction + (kernel.stalls + kernel.fetches) * self.wait)

    def in_fork(self, kernel: Kernel, core: int, written: int) -> Kernel:
        """The kernel with what it takes there on core 0 or 1, and what so many bytes of results cost at the end."""
        work = self.price(kernel) - kernel.price if core else 0
        return kernel.but(lag=work + self.meeting((0, written) if core else (written, 0)))

    def share(self, first: int, second: int) -> float:
        """Of a layer for the first core, that both take as long, from what each takes for all of it."""
        return second / max(1, first + second)

    def meeting(self, written: tuple[int, int]) -> int:
        """What it costs the first core that so many bytes were written by each."""
        if not self.line:
            return 0
        lines = [-(-size // self.line) for size in written]
        return MEETING_CYCLES + sum(n * each for n, each in zip(lines, LINE_CYCLES, strict=True))

    def whole_lines(self, kernel: Kernel) -> Kernel:
        """With working memory that ends with a line."""
        return kernel.but(scratch_bytes=whole_units(kernel.scratch_bytes, self.line)) if self.line else kernel

    def first_parts(self, size: int, each: int, share: float, steps: tuple[int, ...]) -> list[int]:
        """Of `size` rows or channels, `each` of so many bytes, how many the first core may compute: near its share, so
        that the second one begins with a line; for kernels that compute several together as well."""
        whole = self.line // gcd(each, self.line) if self.line else 1
        found = set[int]()
        for step in (lcm(whole, step) for step in steps):
            begin = int(share * size) // step * step
            found |= {begin, begin + step}
        return sorted(n for n in found if 0 < n < size)
