"""What an access to a memory costs the core, in its cycles: `access` in `[memory.<name>]` of a board.toml."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FREE, UNKNOWN = "free", "unknown"
"""What `access` says instead of a table: the core never waits; nobody has said."""

READ_AHEAD = ("none", "instructions", "all")
"""What a memory's controller fetches before it is asked for: nothing, code that follows, all that follows."""


@dataclass(frozen=True, init=False)
class Cycles:
    """Cycles between two bounds, of which the truth isn't known more exactly."""

    low: float
    high: float

    def __init__(self, low: float = 0.0, high: float = 0.0) -> None:
        """Raises ValueError. Prices make millions: a frozen dataclass's own takes three times as long."""
        if not 0 <= low <= high < math.inf:
            raise ValueError(f"cycles are a number from 0 on, or [low, high], not [{low}, {high}]")
        self.__dict__["low"], self.__dict__["high"] = low, high

    def __add__(self, other: Cycles) -> Cycles:
        return Cycles(self.low + other.low, self.high + other.high)

    def __mul__(self, times: float) -> Cycles:
        """So many times; not negative."""
        return Cycles(self.low * times, self.high * times)

    @property
    def middle(self) -> float:
        """For decisions, which need one number."""
        return (self.low + self.high) / 2


NONE = Cycles()


@dataclass(frozen=True)
class Access:
    """What a memory makes the core wait, beyond the cycles of the instructions.

    Attributes:
        fill: from a miss in the cache in front of it to the whole line being there.
        bytes_per_cycle: at which lines come that follow the one before without a gap; None where that is no faster.
        read: of a load that no cache is in front of, for a word or less.
        write: of a store that no cache is in front of; most are buffered and cost nothing.
        read_ahead: one of `READ_AHEAD`.
    """

    fill: Cycles = NONE
    bytes_per_cycle: float | None = None
    read: Cycles = NONE
    write: Cycles = NONE
    read_ahead: str = "none"

    @property
    def is_free(self) -> bool:
        """Whether the core never waits for it."""
        return not (self.fill.high or self.read.high or self.write.high)

    def line(self, size: int, in_sequence: bool = False) -> Cycles:
        """Cycles until a line of so many bytes is there.

        Args:
            in_sequence: it follows the line that this memory gave before.
        """
        if not in_sequence or self.bytes_per_cycle is None:
            return self.fill
        streamed = size / self.bytes_per_cycle
        return Cycles(min(self.fill.low, streamed), min(self.fill.high, streamed))


def access_of(value: Mapping[str, Any] | str) -> Access | None:
    """The value of `access`; None for "unknown".

    Raises:
        ValueError: it means nothing. TypeError: a number is none.
    """
    if isinstance(value, str):
        if value not in (FREE, UNKNOWN):
            raise ValueError(f'access is "{FREE}", "{UNKNOWN}" or a table, not {value!r}')
        return Access() if value == FREE else None
    known = {"fill_cycles", "bytes_per_cycle", "read_cycles", "write_cycles", "read_ahead"}
    if strange := sorted(set(value) - known):
        raise ValueError(f"access has no {', '.join(strange)}: it has {', '.join(sorted(known))}")
    if not {"fill_cycles", "read_cycles"} & set(value):
        raise ValueError("access says fill_cycles (behind a cache), read_cycles (without one) or both")
    ahead, rate = str(value.get("read_ahead", "none")), value.get("bytes_per_cycle")
    if ahead not in READ_AHEAD:
        raise ValueError(f"read_ahead is {', '.join(READ_AHEAD[:-1])} or {READ_AHEAD[-1]}")
    if rate is not None and not float(rate) > 0:
        raise ValueError("bytes_per_cycle is more than 0")
    fill, read, write = (_cycles(value.get(f"{name}_cycles", 0)) for name in ("fill", "read", "write"))
    return Access(fill, None if rate is None else float(rate), read, write, ahead)


def _cycles(value: Any) -> Cycles:
    """A number, or a list of two."""
    if not isinstance(value, list):
        return Cycles(float(value), float(value))
    low, high = map(float, value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return Cycles(low, high)
