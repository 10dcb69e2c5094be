"""Memory regions of a board, and the places a firmware may choose among."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from tinycompile.targets.access_time import UNKNOWN, Access, access_of

KINDS = ("flash", "ram", "code")
NAMED = ("flash", "ram")
"""Memories that every board has, of the kind that they are called."""
MPU_POLICIES = ("write-back", "write-through", "non-cacheable")
"""How the caches treat a memory that the MPU makes Normal."""


@dataclass(frozen=True)
class Memory:
    """One memory region; addresses and sizes in bytes.

    Attributes:
        kind: "flash" (read only), "ram", or "code" for RAM that instructions are fetched from and no data is put in.
        cost: how long a kernel takes with its operands there, relative to a memory that the core never waits for: from
            `access` and the cache in front of it (`memory_system.py`), else what board.toml guesses.
        external: outside of the chip: needs set-up by the board's code before it can be used.
        source: the board's C file that does it, compiled only if the memory is used. setup: the function.
        mpu: the cache policy of the MPU region by which the set-up makes it Normal memory; empty for none.
        access: what the core waits for it; None where that is unknown.
        code_origin: of the same memory on the core's code bus, over which instructions are fetched without waiting.
        data_origin: of the same memory on the bus that data must be read over; None where that is the bus of `origin`.
    """

    name: str
    origin: int
    bytes: int
    kind: str = "ram"
    cost: float = 1.0
    external: bool = False
    source: str = ""
    setup: str = ""
    mpu: str = ""
    access: Access | None = None
    code_origin: int | None = None
    data_origin: int | None = None

    def __hash__(self) -> int:
        """Of what tells a board's memories apart: they are keys, and prices ask for them all the time."""
        return hash((self.name, self.origin, self.bytes))

    @property
    def end(self) -> int:
        return self.origin + self.bytes

    @property
    def waits(self) -> Access:
        """`access`, as free where that is unknown."""
        return self.access or Access()


def memories_of(tables: Mapping[str, Mapping[str, Any]]) -> tuple[Memory, ...]:
    """The `[memory.*]` tables of a board.toml: `flash` and `ram` must be there, others say their `kind`.

    Raises:
        ValueError: overlapping regions, an unknown kind, sizes that make no sense. KeyError: a key is missing.
    """
    found = [_memory(name, table) for name, table in tables.items()]
    missing = [name for name in NAMED if name not in tables]
    if missing:
        raise ValueError(f"[memory.{missing[0]}] is missing")
    for memory in found:
        if memory.kind not in KINDS or memory.bytes <= 0 or memory.origin < 0 or memory.cost < 1.0:
            raise ValueError(f"[memory.{memory.name}]: kind is flash, ram or code, bytes positive, cost at least 1")
        if memory.mpu and memory.mpu not in MPU_POLICIES:
            raise ValueError(f"[memory.{memory.name}]: mpu is {', '.join(MPU_POLICIES[:-1])} or {MPU_POLICIES[-1]}")
        if memory.mpu and not memory.setup:
            raise ValueError(f"[memory.{memory.name}]: mpu needs the setup function that programs the MPU region")
    ordered = sorted(found, key=lambda m: m.origin)
    for below, above in pairwise(ordered):
        if below.end > above.origin:
            raise ValueError(f"[memory.{below.name}] and [memory.{above.name}] overlap")
    return tuple(found)


def _memory(name: str, table: Mapping[str, Any]) -> Memory:
    try:
        access = access_of(table.get("access", UNKNOWN))
    except (TypeError, ValueError) as error:
        raise ValueError(f"[memory.{name}]: {error}") from error
    return Memory(
        name,
        int(table["origin"]),
        int(table["bytes"]),
        table["kind"] if name not in NAMED else name,
        float(table.get("cost", 1.0)),
        bool(table.get("external", False)),
        str(table.get("source", "")),
        str(table.get("setup", "")),
        str(table.get("mpu", "")),
        access,
        *(int(table[key]) if key in table else None for key in ("code_origin", "data_origin")),
    )


def weights_place(table: Mapping[str, Any], memories: Sequence[Memory]) -> Memory:
    """The `[weights]` table: a part of a flash memory, which ends where it starts.

    Raises:
        ValueError: it is not inside of one, or leaves nothing in front of it. KeyError: a key is missing.
    """
    origin, size = int(table["origin"]), int(table["bytes"])
    for memory in memories:
        first = memory.origin if memory.external else memory.origin + 1  # the vector table comes first
        if memory.kind == "flash" and size > 0 and first <= origin and origin + size <= memory.end:
            if origin % 8:
                raise ValueError("[weights]: the origin must be a multiple of 8")
            return replace(memory, name="weights", origin=origin, bytes=size)
    raise ValueError("[weights] is not inside of a flash memory, behind the code")


def ram_choices(memories: Sequence[Memory]) -> list[Memory]:
    """Where an arena can be: every RAM region and every run of adjacent ones, cheap and small ones first.

    A run costs what its most expensive part costs, in `access` as well.
    """
    ordered = sorted((m for m in memories if m.kind == "ram"), key=lambda m: m.origin)
    return sorted(_runs(ordered), key=lambda m: (m.cost, m.bytes))


def _runs(ordered: Sequence[Memory]) -> Iterator[Memory]:
    for start, first in enumerate(ordered):
        run = first
        yield run
        for following in ordered[start + 1 :]:
            if following.origin != run.end or following.external != run.external:
                break
            dearest = max(run, following, key=lambda m: m.cost)
            run = replace(
                run,
                name=f"{run.name}_{following.name}",
                bytes=run.bytes + following.bytes,
                cost=dearest.cost,
                access=dearest.access,
            )
            yield run
