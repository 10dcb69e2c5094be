"""What start-up copies from flash to memory that the core needn't wait for: functions and constant arrays.

The compiler gives each of them an input section of its own (`-ffunction-sections`, `-fdata-sections`), so the linker
script places them by name: the C is the same wherever they are, and without such a script everything stays in flash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinycompile.elf import COPIED_SECTIONS
from tinycompile.targets import Memory

Kind = Literal["code", "weights"]

_INPUT_SECTIONS = {"code": ".text", "weights": ".rodata"}


@dataclass(frozen=True)
class Copy:
    """An output section of the linker script.

    Attributes:
        memory: where the copy is.
        symbols: C names of the functions or arrays in it, in the order of the program.
        bytes: about what they take; code by its object file, without what the linker adds for calls over a distance.
    """

    kind: Kind
    memory: Memory
    symbols: tuple[str, ...]
    bytes: int

    @property
    def section(self) -> str:
        """Name of the output section."""
        return f"{COPIED_SECTIONS}{self.kind}_{self.memory.name}"

    @property
    def patterns(self) -> list[str]:
        """Input sections: GCC calls a specialised or split function `name.constprop.0`, `name.isra.0` and so on."""
        start = _INPUT_SECTIONS[self.kind]
        return [f"{start}.{name}{suffix}" for name in self.symbols for suffix in ("", ".*")]


Copies = tuple[Copy, ...]


def copied(copies: Copies, kind: Kind) -> set[str]:
    """Names of what is copied of a kind."""
    return {name for copy in copies if copy.kind == kind for name in copy.symbols}
