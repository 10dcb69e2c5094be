"""How many weights layers have, and of how many bits: what the model says, whatever a kernel makes of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Graph, Node, TensorType
from tinycompile.numerics.block_scales import blocks, whole_numbers

WIDTHS = (2, 3, 4, 8, 16)
"""Bits that integers are said to have."""


@dataclass(frozen=True)
class LayerWeights:
    """Of a layer.

    Attributes:
        count: of its weights; 0 if it has none.
        bits: that each of them takes: those of the narrowest integer that holds all of them or, with a scale for each
            block, those of each block up to a zero point of its own; 16 and 32 for floats. None without weights.
    """

    count: int
    bits: int | None


def layer_weights(graph: Graph, node: Node, *, of_values: bool = True) -> LayerWeights:
    """Weights are constant operands of two axes or more, integers of 8 and 16 bits or floats.

    Args:
        of_values: bits are those that the values take; else those of their type, which hold any values.
    """
    found = [
        (graph.types[name], graph.constants[name]) for name in dict.fromkeys(node.inputs) if name in graph.constants
    ]
    weights = [(t, value) for t, value in found if len(t.shape) > 1 and (t.dtype in (INT8, INT16) or t.dtype.is_float)]
    bits = [_bits(t, value) if of_values else t.dtype.bits for t, value in weights]
    return LayerWeights(sum(t.elements for t, _ in weights), max(bits, default=None))


def _bits(t: TensorType, values: Array) -> int:
    if t.dtype.is_float and t.quant is not None and t.quant.block is not None:
        numbers = whole_numbers(values, t.quant.scale, t.quant.block)
        values = values if numbers is None else numbers
    if values.dtype.kind == "f" or values.size == 0:
        return t.dtype.bits
    if t.quant is not None and t.quant.block is not None:
        # The zeros that fill the last block are within its range: minus a zero point, 0 always is.
        parts = blocks(values, t.quant.block)
        widest = int((parts.max(axis=-1) - parts.min(axis=-1)).max())
        return next((bits for bits in WIDTHS if widest < 1 << bits), t.dtype.bits)
    low, high = int(values.min()), int(values.max())
    return next(bits for bits in (*WIDTHS, 32) if -(1 << bits - 1) <= low and high < 1 << bits - 1)


def by_bits(layers: Iterable[tuple[int | None, int]]) -> Iterator[str]:
    """Of pairs (bits of a weight, bytes that a layer's constants take) what there is of each number of bits, fewest
    first; nothing where no layer has fewer than 8.
    """
    found = dict[int, list[int]]()
    for bits, size in layers:
        if bits is not None:
            found.setdefault(bits, []).append(size)
    for bits in sorted(found) if min(found, default=8) < INT8.bits else ():
        count = len(found[bits])
        yield f"those of {bits} bits in {count} layer{'' if count == 1 else 's'} take {sum(found[bits]):,} bytes"
