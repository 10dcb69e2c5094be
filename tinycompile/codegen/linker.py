"""Linker scripts: the board's memory map, and the same laid into the memories of the board that QEMU has instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tinycompile.codegen.copies import Copies, Copy
from tinycompile.errors import TargetError
from tinycompile.kernels.render import render
from tinycompile.layout import Layout
from tinycompile.targets import Board, Memory

STACK_GUARD_BYTES = 64
"""Beyond the worst case: painted too, so that a run would show if the worst case were wrong."""


@dataclass(frozen=True)
class Region:
    """A line of the linker script's MEMORY command."""

    name: str
    origin: int
    bytes: int
    kind: str


def linker_script(
    board: Board,
    variant: Board,
    layout: Layout | None = None,
    weights: Mapping[str, int] | None = None,
    copies: Copies = (),
    cores: int = 1,
) -> str:
    """The memory map of `variant`, with no more memory than `board` has.

    The stack gets `linker_stack_bytes`, a symbol given to the linker, and a guard.

    Args:
        weights: address of each model's separate weights.
        copies: what start-up copies to faster memory.
        cores: that have a stack.

    Raises:
        TargetError: the variant has no memory for one that `board` uses.
    """
    layout, second = layout or Layout.simple(board), board.second if cores > 1 else None
    regions = regions_of(board, variant, layout)
    names = {memory: region.name for memory, region in regions.items()}
    regions, placed = _with_copies(regions, copies, code_bus=variant is board)
    sections = {
        "system": names[layout.system],
        "arena": names[layout.arena],
        "scratch": names[layout.scratch or layout.system],
        "flash": names[layout.flash],
        "cold": names[layout.cold or layout.flash],
        "flash_data": "",
    }
    lines = list(regions.values())
    if variant is board and layout.flash.data_origin is not None:
        flash = regions[layout.flash]
        lines.append(replace(flash, name=f"{flash.name}_DATA", origin=layout.flash.data_origin))
        sections["flash_data"] = lines[-1].name
    return render(
        board.toolchain.linker_script,
        board=board,
        variant=variant,
        regions=lines,
        guard=STACK_GUARD_BYTES,
        weights=weights or {},
        copies=placed,
        cores=cores,
        line=second.line if second else 0,
        second_vectors=second.vectors if second and variant is board else None,
        **sections,
    )


@dataclass(frozen=True)
class PlacedCopy:
    """A copy that start-up makes.

    Attributes:
        region: where it is used. shift: from there to where it is written, modulo 2**32: over another bus.
    """

    copy: Copy
    region: str
    shift: int = 0


def _with_copies(
    regions: Mapping[Memory, Region], copies: Copies, *, code_bus: bool
) -> tuple[dict[Memory, Region], list[PlacedCopy]]:
    """The regions with those of the copies, where `code_bus` says that code is fetched over it: the end of the memory,
    at its other address."""
    found, placed = dict(regions), list[PlacedCopy]()
    for copy in copies:
        region, other = found[copy.memory], copy.memory.code_origin
        if copy.kind == "code" and other is not None and code_bus:
            size = -(-(copy.bytes + copy.bytes // 4 + FAR_CALLS_BYTES) // 32) * 32
            own = replace(region, name=f"{region.name}_CODE", origin=other + region.bytes - size, bytes=size)
            found[copy.memory] = replace(region, bytes=region.bytes - size)
            found[replace(copy.memory, name=own.name)] = own
            placed.append(PlacedCopy(copy, own.name, (copy.memory.origin - other) % (1 << 32)))
        else:
            placed.append(PlacedCopy(copy, region.name))
    return found, placed


FAR_CALLS_BYTES = 256
"""What the linker may add to copied code for calls over a distance, beside a quarter of it."""


def regions_of(board: Board, variant: Board, layout: Layout) -> dict[Memory, Region]:
    """Where each memory in use is on the variant: its own place, or one carved from a memory of the stand-in."""
    if variant is board:
        return {
            m: Region(region_name(m), m.origin, _before_weights(m.origin, m.bytes, board, layout), m.kind)
            for m in layout.used
        }
    free = {memory.name: memory for memory in variant.memories} | {"ram": variant.ram}
    used = dict.fromkeys(free, 0)
    found = dict[Memory, Region]()
    for memory in layout.used:
        kind = "flash" if memory.kind == "flash" else "ram"
        name = board.external_stand_ins.get(memory.name, "") if memory.external else kind
        if name not in free:
            raise TargetError(
                f"{variant.name}, which stands in for {board.name}, has no memory for {memory.name!r}",
                where=str(board.folder / "board.toml"),
                hint="name one of its memories under [qemu.external]",
            )
        size = min(memory.bytes, (free[name].bytes - used[name]) // (2 if memory.external else 1))
        origin = free[name].origin + used[name]
        found[memory] = Region(region_name(memory), origin, _before_weights(origin, size, variant, layout), memory.kind)
        used[name] += size
    return found


def _before_weights(origin: int, size: int, variant: Board, layout: Layout) -> int:
    """The bytes of a region that are left when separate weights have their place at its end."""
    place = variant.weights
    if layout.weights is None or place is None or not origin < place.origin < origin + size:
        return size
    return place.origin - origin


def region_name(memory: Memory) -> str:
    """What the linker calls a memory."""
    return memory.name.upper()
