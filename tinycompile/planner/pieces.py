"""A layer in pieces: some rows of its output after the others, each by a call of its own, in the layer's own memory.

A piece is the layer for a part of its output, with the padding that is left at that place, so that it reads and writes
where the whole layer would: nothing is copied, and nothing is computed twice. Rows are the positions along the first
axis that has several.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod

from tinycompile.access import Everywhere, Summed
from tinycompile.ir import Node, Signature, Site, TensorType
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import fused, parts_of
from tinycompile.passes.slide_motion import pads_itself, part_of

Offer = Callable[[Site], Sequence[Kernel]]
"""The kernels of a node."""

WORD = 4
"""Pieces begin at multiples of so many bytes: kernels that load words run slower elsewhere, some not at all."""

Region = tuple[int, int]
"""Bytes [first, last) of a tensor."""


class NotDivisible(Exception):  # noqa: N818 - a result, not a failure
    """A layer, or this part of it, can't be computed by itself."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows of a layer's output.

    Attributes:
        site: the layer for them. reads: of each operand in RAM that is divided, the bytes. writes: of the output.
        padding: of each node of the layer, from the last on, the rows before and after.
    """

    rows: range
    site: Site
    reads: Mapping[int, Region]
    writes: Region
    padding: tuple[tuple[int, int], ...]

    @property
    def shapes(self) -> tuple[object, ...]:
        """What tells apart the sites of one layer's parts."""
        return self.padding, *(t.shape for t in (*self.site.sig.inputs, self.site.sig.output))


@dataclass(frozen=True, eq=False)
class Piece:
    """A part with the kernel that computes it.

    Attributes:
        offsets: where it is some channels, elements of each constant in front of those that it reads.
    """

    part: Part
    kernel: Kernel
    offsets: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Memory:
    """Where the planner has put a layer.

    Attributes:
        operands: by number, those in the output's memory, by their offset from the output's. scratch_bytes: that there
            are.
    """

    operands: Mapping[int, int]
    scratch_bytes: int


def axis_of(t: TensorType) -> int:
    """The dimension whose positions are a tensor's rows. Raises NotDivisible: it has one position."""
    for axis, size in enumerate(t.shape[:-1]):
        if size > 1:
            if axis == 0:
                break
            return axis
    raise NotDivisible("there is one position")


def part(site: Site, rows: range) -> Part:
    """Some rows of a layer. Raises NotDivisible."""
    if len(site.sig.outputs) != 1:
        raise NotDivisible("there are several outputs")
    axis = axis_of(site.sig.output)
    wanted, types = {site.node.outputs[0]: rows}, dict[str, TensorType]()
    nodes, padding = list[Node](), list[tuple[int, int]]()
    for each in reversed(parts_of(site)):
        output = each.node.outputs[0]
        if output not in wanted or len(each.node.outputs) != 1:
            raise NotDivisible("a part has another result")
        types[output] = _cut(each.sig.output, axis, wanted[output])
        node, outside = _divided(each, axis, wanted, types)
        nodes.insert(0, node)
        padding.append(outside)
    node = nodes[0] if len(nodes) == 1 else fused(nodes, types)
    sig = Signature(tuple(types[name] for name in node.inputs), (types[node.outputs[0]],))
    if node.inputs != site.node.inputs or not _infers(node, sig):
        raise NotDivisible("its shapes are others")
    reads = {
        operand: _bytes(t, axis, wanted[name])
        for operand, (name, t) in enumerate(zip(node.inputs, site.sig.inputs, strict=True))
        if name in wanted
    }
    divided = Site(node, sig, site.constants, site.latitude)
    return Part(rows, divided, reads, _bytes(site.sig.output, axis, rows), tuple(padding))


def _divided(
    site: Site, axis: int, wanted: dict[str, range], types: dict[str, TensorType]
) -> tuple[Node, tuple[int, int]]:
    """A node for the rows that are wanted of its output, and its padding; adds what it reads."""
    node, sig, padding = site.node, site.sig, (0, 0)
    rows = wanted[node.outputs[0]]
    if axis_of(sig.output) != axis:
        raise NotDivisible("rows are another axis inside")
    for operand, (name, t) in enumerate(zip(node.inputs, sig.inputs, strict=True)):
        access = node.op.access(sig, operand)
        reach = access.along(axis - 1)
        undivided = site.constants[operand] is not None or isinstance(access, Everywhere)
        if isinstance(access, Summed) or (reach is None and not undivided):
            raise NotDivisible(f"{node.name} reads everything")
        if reach is None or not reach.stride:
            types[name] = t
            continue
        dimension = access.first_axis + axis - 1
        if site.constants[operand] is not None or dimension != axis or prod(t.shape[:axis]) != 1:
            raise NotDivisible(f"{node.name} reads rows that aren't one behind the other")
        if rows.start % reach.up or rows.stop % reach.up:
            raise NotDivisible(f"{node.name} makes {reach.up} rows at a time")
        hull, size = reach.hull(rows), t.shape[axis]
        inside = range(max(hull.start, 0), min(hull.stop, size))
        outside = (max(0, -hull.start), max(0, hull.stop - size))
        if not inside or (any(outside) and not pads_itself(node.op)):
            raise NotDivisible(f"{node.name} reads rows outside")
        padding = outside if any(outside) else padding
        if wanted.setdefault(name, inside) != inside:
            raise NotDivisible(f"the rows of {name} are read in two ways")
        types[name] = _cut(t, axis, inside)
    op = part_of(node.op, sig, axis, len(rows), padding)
    if op is None:
        raise NotDivisible(f"{node.name} isn't computed by rows")
    return Node(node.name, op, node.inputs, node.outputs), padding


def _infers(node: Node, sig: Signature) -> bool:
    """Whether the operands yield the output."""
    try:
        return node.op.infer(sig.inputs) == ((sig.output.shape, sig.output.dtype),)
    except ValueError:
        return False


def _cut(t: TensorType, axis: int, rows: range) -> TensorType:
    return replace(t, shape=(*t.shape[:axis], len(rows), *t.shape[axis + 1 :]))


def _bytes(t: TensorType, axis: int, rows: range) -> Region:
    """Raises NotDivisible: they don't begin and end with bytes."""
    bits = prod(t.shape[axis + 1 :]) * t.dtype.bits
    if rows.start * bits % 8 or rows.stop * bits % 8:
        raise NotDivisible("rows share bytes")
    return rows.start * bits // 8, rows.stop * bits // 8


def divided(site: Site, rows: int, kernel: Kernel, memory: Memory, offer: Offer) -> list[Piece]:
    """A layer in pieces of so many rows each (`cuts`); fit for where the layer is.

    Args:
        kernel: of the whole layer, whose constants pieces share if they can.

    Raises:
        NotDivisible: it can't be.
    """
    size = site.sig.output.shape[axis_of(site.sig.output)]
    parts = [part(site, cut) for cut in cuts(size, rows)]
    for index, each in enumerate(parts):
        if any(first % WORD for first, _ in (each.writes, *each.reads.values())):
            raise NotDivisible("a piece doesn't begin with a word")
        for later in parts[index + 1 :]:
            if any(_meet(_at(later.reads.get(o), site, o, by), each.writes) for o, by in memory.operands.items()):
                raise NotDivisible("a piece overwrites what the next ones read")
    known = {_key(constant) for constant in kernel.constants}
    found, chosen = list[Piece](), dict[tuple[object, ...], list[Kernel]]()
    for each in parts:
        if each.shapes not in chosen:
            usable = [k for k in offer(each.site) if k.function and k.alias_of is None and not k.parts]
            chosen[each.shapes] = sorted(usable, key=lambda k: (_more(k, known), k.price))
        fitting = (k for k in chosen[each.shapes] if _fits(k, each, site, memory))
        best = next(fitting, None)
        if best is None:
            raise NotDivisible("no kernel for a piece fits where the layer is")
        found.append(Piece(each, best))
    return found


def cuts(size: int, rows: int) -> list[range]:
    """Runs of so many rows; few that are left over are the last one's as well."""
    starts = list(range(0, size, rows))
    if len(starts) > 1 and 2 * (size - starts[-1]) <= rows:
        starts.pop()
    return [range(first, end) for first, end in pairwise([*starts, size])]


def added_bytes(kernel: Kernel, pieces: Sequence[Piece]) -> int:
    """Of constants that pieces have and the whole layer's kernel hasn't."""
    known = {_key(constant) for constant in kernel.constants}
    return sum({_key(c): c.bytes for piece in pieces for c in piece.kernel.constants if _key(c) not in known}.values())


def _key(constant: Constant) -> tuple[object, ...]:
    return constant.ctype, constant.layout, constant.values.tobytes()


def _more(kernel: Kernel, known: set[tuple[object, ...]]) -> int:
    """Bytes of constants that the whole layer's kernel hasn't."""
    return sum(c.bytes for c in kernel.constants if _key(c) not in known)


def _at(region: Region | None, site: Site, operand: int, by: int) -> Region:
    """What is read of an operand, in bytes from the output's beginning; None stands for all of it."""
    first, last = (0, site.sig.inputs[operand].bytes) if region is None else region
    return first + by, last + by


def _meet(one: Region, other: Region) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _fits(kernel: Kernel, each: Part, site: Site, memory: Memory) -> bool:
    """Whether a piece's kernel has its scratch, and may overwrite of its operands what it does."""
    if kernel.scratch_bytes > memory.scratch_bytes:
        return False
    met = [o for o, by in memory.operands.items() if _meet(_at(each.reads.get(o), site, o, by), each.writes)]
    for operand in met:
        if operand not in kernel.distances or operand not in each.reads or len(met) > 1:
            return False
        apart = each.reads[operand][0] + memory.operands[operand] - each.writes[0]
        least = kernel.distances[operand]
        if apart != least if kernel.in_place else apart < least:
            return False
    return True
