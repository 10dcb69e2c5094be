"""Rows of int8 values normalised in integers: what is left of the real number is lost far below a step of the result.

For n values q of a row and S, their sum (or n times the zero point, where nothing is subtracted), d = n q - S is n
times an element's distance to the mean, and V, the mean of the squares of d, n^2 times the variance, both in steps of
the input. So an element is scale * d / sqrt(V + E) + bias, where E = epsilon * (n / input scale)^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, frexp, log2

import numpy as np

from tinycompile.ir import Array, Signature

MAX_DEPTH = 2048
"""Elements of a row: sums of their squares, times as many, stay far below 2^63."""
_ROOT_BITS = 30
"""Of the reciprocal root, which is 1 to 2."""
_ROOT_STEPS = 4
"""Of Newton's method: an error of 0.11 becomes 0.02, 6e-4, 6e-7, 5e-13."""
_FIRST_ROOT = (round(2.2 * 2**_ROOT_BITS), round(1.2 * 2**_ROOT_BITS))
"""Value at 0 and slope of the line that begins: 1.9 at 1/4, where the root is 2, and 1 at 1."""
_LEAST_SHIFT = 32
"""Of a product: its lower word is never looked at."""
_SMALLEST = 2.0**-40
_LARGE = "epsilon is too large for the input's scale"


@dataclass(frozen=True, eq=False)
class NormalisationForm:
    """A row's normalisation in integers.

    It differs from the real number's rounding only where that is within 10^-5 of a tie.

    Attributes:
        depth: n.
        zero_sum: what takes the place of the sum of a row where no mean is subtracted; None where it is.
        epsilon: E * 2^fraction; V has as many bits behind the point, an even number.
        element_bits: behind the point of a normalised element.
        scale: int32 (n,), of the result's steps.
        bias: int64 (n,), with the output's zero point and the half that rounding takes.
        shift: of their sum.
    """

    depth: int
    zero_sum: int | None
    epsilon: int
    fraction: int
    element_bits: int
    scale: Array
    bias: Array
    shift: int

    @staticmethod
    def of(sig: Signature, epsilon: float, centred: bool, scale: Array, bias: Array) -> NormalisationForm:
        """Raises ValueError for scales that it can't have."""
        x, y = sig.input, sig.output
        n = x.shape[-1]
        steps = epsilon * (n / float(x.scale)) ** 2
        largest = 255.0**2 * n**2 + steps
        fraction = min(40, (61 - ceil(log2(largest))) // 2 * 2) if largest < 2.0**61 else -1
        if fraction < 0:
            raise ValueError(_LARGE)
        element_bits = 28 - ceil(log2(n) / 2)
        if 1 - ceil(log2(largest)) / 2 + element_bits < 0:
            raise ValueError(_LARGE)
        factor, offset = scale.astype(np.float64) / y.scale, bias.astype(np.float64) / y.scale + y.zero_point
        factor_bits = 30 - _bits(factor)
        room = 60 - element_bits - max(9, _bits(offset))
        shift = element_bits + min(factor_bits, room, 63 - element_bits)
        if shift < _LEAST_SHIFT:
            raise ValueError(f"the output's scale {y.scale} doesn't fit the factors of the elements")
        unit = 2.0 ** (shift - element_bits)
        rounded = np.rint((offset + 0.5) * 2.0**shift).astype(np.int64)
        even = (offset - 0.5) % 2 == 0  # a tie that goes down
        zero_sum = None if centred else n * x.zero_point
        whole = round(steps * 2.0**fraction)
        return NormalisationForm(
            n, zero_sum, whole, fraction, element_bits, np.rint(factor * unit).astype(np.int32), rounded - even, shift
        )

    def apply(self, x: Array) -> Array:
        """int8 (..., n) of an int8 array."""
        wide = x.astype(np.int64)
        sums = wide.sum(axis=-1, keepdims=True)
        total = sums if self.zero_sum is None else np.full_like(sums, self.zero_sum)
        distance = self.depth * wide - total
        power = self.depth * np.square(wide).sum(axis=-1, keepdims=True) + total * (total - 2 * sums)
        root, shift = reciprocal_root((power.astype(np.uint64) << np.uint64(self.fraction)) + np.uint64(self.epsilon))
        # 32 - (30 bits of the root + half of the shift that its operand had - what an element keeps)
        left = np.clip(32 - _ROOT_BITS - 16 - shift // 2 + self.fraction // 2 + self.element_bits, 0, 31)
        element = ((distance << left) * root) >> 32
        return np.clip((element * self.scale + self.bias) >> self.shift, -128, 127).astype(np.int8)


def _bits(values: Array) -> int:
    """Of the largest one, in front of the point; below 0 for small ones."""
    return frexp(float(np.abs(values).max(initial=_SMALLEST)))[1]


def reciprocal_root(x: Array) -> tuple[Array, Array]:
    """(r, shift) with 1 / sqrt(x) = r * 2^-30 * 2^(-16 - shift / 2), within 2^-29 of it.

    Args:
        x: uint64; of 0 it is what it is of 1.
    """
    x = np.maximum(x, np.uint64(1))
    shift = np.frexp(x.astype(np.float64))[1].astype(np.int64)  # rounding to float64 may say one more
    bits = shift - ((np.uint64(1) << np.minimum(shift - 1, 63).astype(np.uint64)) > x)
    shift = (bits - 31) // 2 * 2
    mantissa = np.where(
        shift >= 0, x >> np.maximum(shift, 0).astype(np.uint64), x << np.maximum(-shift, 0).astype(np.uint64)
    ).astype(np.uint64)
    start, slope = (np.uint64(number) for number in _FIRST_ROOT)
    y = start - ((slope * mantissa) >> np.uint64(32))
    for _ in range(_ROOT_STEPS):
        square = (y * y) >> np.uint64(_ROOT_BITS)
        rest = np.uint64(3 << _ROOT_BITS) - ((square * mantissa) >> np.uint64(32))
        y = (y * rest) >> np.uint64(_ROOT_BITS + 1)
    return y.astype(np.int64), shift
