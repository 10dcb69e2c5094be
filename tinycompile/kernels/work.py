"""What a kernel executes: instructions, and cycles where these decide."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.targets.core import Core


@dataclass(frozen=True, init=False)
class Work:
    """Estimated. What has only a number of instructions takes a cycle for each.

    Attributes:
        cycles: on a core with `Pipeline.single_loads`.
    """

    instructions: int
    cycles: int

    def __init__(self, instructions: int, cycles: int) -> None:
        """A frozen dataclass's own takes twice as long, and every price adds many."""
        self.__dict__["instructions"], self.__dict__["cycles"] = instructions, cycles

    def __add__(self, other: Work | int) -> Work:
        if isinstance(other, int):
            return Work(self.instructions + other, self.cycles + other)
        return Work(self.instructions + other.instructions, self.cycles + other.cycles)

    __radd__ = __add__

    def __mul__(self, times: int) -> Work:
        return Work(self.instructions * times, self.cycles * times)

    __rmul__ = __mul__

    def on(self, core: Core) -> int:
        """What a kernel's work is compared by: cycles where they decide, else instructions."""
        return self.cycles if core.issue.single_loads else self.instructions

    def cycles_on(self, core: Core) -> int | None:
        """For `Kernel.cycles`."""
        return self.cycles if core.issue.single_loads else None
