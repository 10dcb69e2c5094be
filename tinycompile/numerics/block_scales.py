"""Weights with a scale for each block of a row, in integers: what docs/low_bit.md defines.

The float32 scales of a row are integers times one real step, exactly:

    scale[c, g] = step[c] * factor[c, g]

so that the real sum of a row is `step[c]` times an integer, and is rounded once like any other layer's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import Int64Array, IntegerArray

Float32Array = NDArray[np.float32]

FACTOR_BITS = 31
"""Of a factor: a positive int32."""


@dataclass(frozen=True, eq=False)
class BlockScales:
    """The scales of a matrix.

    Attributes:
        step: real, positive, per row.
        factor: int64 (rows, blocks) within [0, 2^31), of each row without a common divisor.
    """

    step: tuple[Fraction, ...]
    factor: Int64Array

    @staticmethod
    def of(scales: Sequence[Sequence[float]]) -> BlockScales:
        """Of float32 scales (rows, blocks), finite and not negative; a block whose scale is 0 is of zeros.

        Raises:
            ValueError: scales of a row are so far apart that their factors leave 31 bits.
        """
        steps, factors = list[Fraction](), list[list[int]]()
        for row in scales:
            step, factor = _row([Fraction(float(scale)) for scale in row])
            if max(factor, default=0) >> FACTOR_BITS:
                raise ValueError("the scales of a row's blocks are too far apart for factors of 31 bits")
            steps.append(step)
            factors.append(factor)
        return BlockScales(tuple(steps), np.array(factors, np.int64))

    def widened(self) -> BlockScales:
        """The same scales with factors as large as 31 bits hold them, so that the steps of all rows are about alike."""
        lefts = [FACTOR_BITS - int(row.max(initial=0)).bit_length() for row in self.factor]
        step = tuple(s / 2**left for s, left in zip(self.step, lefts, strict=True))
        return BlockScales(step, self.factor << np.array(lefts, np.int64)[:, None])


def _row(scales: Sequence[Fraction]) -> tuple[Fraction, list[int]]:
    """The largest step of which all scales are multiples, and these multiples."""
    denominator = max((scale.denominator for scale in scales), default=1)  # powers of two, as of all floats
    units = [scale.numerator * (denominator // scale.denominator) for scale in scales]
    common = gcd(*units) or 1
    return Fraction(common, denominator), [unit // common for unit in units]


def blocks(values: IntegerArray, size: int) -> Int64Array:
    """Rows (..., elements) as int64 (..., blocks, size), the last block filled with zeros."""
    missing = -values.shape[-1] % size
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])
    return padded.reshape(*values.shape[:-1], -1, size).astype(np.int64)


def reach(weights: IntegerArray, factor: Int64Array, size: int, largest: int) -> list[int]:
    """A bound of each row's sum, whatever the inputs within +- `largest` are.

    Args:
        weights: (rows, elements).
        factor: (rows, blocks).
    """
    of_blocks = np.abs(blocks(weights, size)).sum(axis=-1).tolist()
    return [
        largest * sum(map(int.__mul__, row, factors)) for row, factors in zip(of_blocks, factor.tolist(), strict=True)
    ]


def weighted_totals(weights: IntegerArray, factor: Int64Array, size: int) -> list[int]:
    """What each row's sum is of inputs that are all 1; `weights` (rows, elements), `factor` (rows, blocks)."""
    of_blocks = blocks(weights, size).sum(axis=-1).tolist()
    return [sum(map(int.__mul__, row, factors)) for row, factors in zip(of_blocks, factor.tolist(), strict=True)]


def block_starts(elements: int, size: int) -> list[int]:
    """Where each block of a row begins."""
    return list(range(0, elements, size))


def whole_numbers(values: Float32Array, scale: Float32Array, size: int) -> Int64Array | None:
    """Of float32 (rows, elements) the integers that they are multiples of their blocks' scales (rows, blocks) by, as
    DequantizeLinear rounds the products; None if they aren't.
    """
    spread = np.repeat(scale, size, axis=1)[:, : values.shape[1]]
    with np.errstate(all="ignore"):
        numbers = np.rint(np.where(spread == 0, 0, values / spread))
        same = np.array_equal(numbers.astype(np.float32) * spread, values)
    return numbers.astype(np.int64) if same else None
