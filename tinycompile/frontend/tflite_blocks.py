"""Weights with a scale for every few elements of a row (BlockwiseQuantization), as floats.

LiteRT 2.3's own kernels for them, reference and default, are wrong by as much as the result; XNNPACK's aren't. So the
meaning is the real number that a weight stands for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.frontend.tflite_schema import SIGNED_32, FlatTable, tflite
from tinycompile.ir import Array, Quantization

_SCALES, _ZERO_POINTS, _BLOCK_SIZE, _BLOCK_SHAPE = 4, 6, 8, 10
"""Places in the table's list of fields."""


@dataclass(frozen=True)
class Blocks:
    """Which tensor holds the scales (rows, blocks of a row), and how many elements a block has."""

    scales: int
    size: int


def blocks_of(tensor: Any) -> Blocks | str | None:
    """What a tensor of the generated schema says of blocks; in words what can't be read; None where it says nothing."""
    quantization = tensor.Quantization()
    if quantization is None or quantization.DetailsType() == tflite.QuantizationDetails.NONE:
        return None
    details: FlatTable | None = quantization.Details()
    if quantization.DetailsType() != BLOCKWISE or details is None:
        return "has a custom quantisation"
    if _number(details, _ZERO_POINTS) > 0:
        return "has a zero point for every block"
    if details.Offset(_BLOCK_SHAPE):
        return "has blocks of several axes"
    return Blocks(_number(details, _SCALES), _number(details, _BLOCK_SIZE))


BLOCKWISE = 2
"""The number of the table in the union."""


def _number(table: FlatTable, field: int) -> int:
    at = table.Offset(field)
    return table.Get(SIGNED_32, table.Pos + at) if at else 0


def dequantized_blocks(values: Array, scales: Array | None, blocks: Blocks) -> tuple[Array, Quantization] | str:
    """(float32, of what they are multiples), or in words why the scales don't fit the values (rows, elements)."""
    if scales is None or scales.dtype.kind != "f" or values.ndim != 2 or blocks.size < 1:
        return "has blocks without scales"
    rows, elements = values.shape
    if elements % blocks.size or scales.size != rows * (elements // blocks.size):
        return f"has {scales.size} scales for blocks of {blocks.size} in the shape {list(values.shape)}"
    steps = scales.astype(np.float32).reshape(rows, -1)
    with np.errstate(invalid="ignore", over="ignore"):
        floats = values.astype(np.float32) * np.repeat(steps, blocks.size, axis=1)
    return floats, Quantization(steps, np.zeros(steps.shape, np.int64), 0, blocks.size)
