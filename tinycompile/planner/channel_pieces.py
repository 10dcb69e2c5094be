"""Layers whose output has a single position, in pieces: some channels after the others, with the layer's own constants.

Whether a kernel's constants are those of some channels one behind the other, the constants themselves say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel
from tinycompile.passes.channel_part import channel_part
from tinycompile.planner.pieces import Memory, NotDivisible, Offer, Part, Piece, cuts


def divided_by_channels(site: Site, channels: int, kernel: Kernel, memory: Memory, offer: Offer) -> list[Piece]:
    """A layer in pieces of so many channels each (`cuts`), as `in_channels`."""
    return in_channels(site, cuts(site.sig.output.elements, channels), kernel, memory, offer)


def in_channels(site: Site, channels: Sequence[range], kernel: Kernel, memory: Memory, offer: Offer) -> list[Piece]:
    """A layer in pieces of these channels, one behind the other, computed by its own technique; fit for where it is.

    Raises:
        NotDivisible: it can't be.
    """
    output = site.sig.output
    if output.elements != output.shape[-1] or output.dtype.bits < 8:
        raise NotDivisible("there are several positions")
    if any(by < output.bytes and -site.sig.inputs[operand].bytes < by for operand, by in memory.operands.items()):
        raise NotDivisible("the result is where the operand is")
    found = list[Piece]()
    for cut in channels:
        part = channel_part(site, cut)
        if part is None:
            raise NotDivisible("its channels aren't divided")
        usable = [k for k in offer(part) if k.variant == kernel.variant and k.scratch_bytes <= memory.scratch_bytes]
        if not usable:
            raise NotDivisible("no kernel for some of its channels")
        item = output.dtype.bits // 8
        whose = Part(cut, part, {}, (cut.start * item, cut.stop * item), ())
        found.append(Piece(whose, min(usable, key=lambda k: k.price)))
    return _with_constants_of(kernel, found)


def _with_constants_of(kernel: Kernel, pieces: list[Piece]) -> list[Piece]:
    """The pieces with places in the constants of the whole layer's kernel."""
    offsets = [list[int]() for _ in pieces]
    for index, constant in enumerate(kernel.constants):
        if any(len(piece.kernel.constants) != len(kernel.constants) for piece in pieces):
            raise NotDivisible("its constants are others")
        parts = [piece.kernel.constants[index].values for piece in pieces]
        whole = constant.values
        if all(np.array_equal(part, whole) for part in parts):
            starts = [0] * len(parts)
        elif np.array_equal(np.concatenate(parts), whole):
            starts = [0, *np.cumsum([part.size for part in parts])[:-1].tolist()]
        else:
            raise NotDivisible("its constants aren't those of channels one behind the other")
        for own, start in zip(offsets, starts, strict=True):
            own.append(start)
    return [
        Piece(piece.part, replace(piece.kernel, constants=kernel.constants), tuple(own))
        for piece, own in zip(pieces, offsets, strict=True)
    ]
