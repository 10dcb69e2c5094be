"""Which of a kernel's functions have loops so long that a small instruction cache may not hold them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Loop:
    """Code that is executed again and again.

    Attributes:
        bytes: of the function's code in a round, about.
        rounds: in a call of the kernel.
        between: bytes of other code that a round executes.
    """

    bytes: int
    rounds: int
    between: int = 0


@dataclass(frozen=True)
class HotFunction:
    """A function of a kernel.

    Attributes:
        name: in C.
        bytes: its machine code, estimated.
        loops: all that are long.
    """

    name: str
    bytes: int
    loops: tuple[Loop, ...]


def nested(inner: int, turns: int, outer: int, rounds: int) -> tuple[Loop, Loop]:
    """A loop of `turns` inside of another one.

    Args:
        inner, outer: bytes of a round; the outer loop's with the inner ones.
    """
    return Loop(inner, (turns - 1) * rounds), Loop(outer, rounds)
