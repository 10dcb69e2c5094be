"""Block-floating gradients: int16 values that share one power of two, and what is computed of them without floats.

A gradient is an array of int16 values within [-32767, 32767] and one exponent, known when the step runs; the real
number is value * 2^exponent. Sums are int32. Whoever makes a gradient of sums renormalises it: the exponent follows
from the largest sum, so that no value loses more than the 15 bits leave. `width` says of how many bits values may be
that are summed.

Scales of quantised tensors enter as factors of a mantissa in [2^14, 2^15) and an exponent. Everything rounds halves
upwards, as an addition of a half and an arithmetic shift do.

Source of the scheme: Lin et al., "On-Device Training Under 256KB Memory" (NeurIPS 2022), whose gradients are floats;
quantisation-aware scaling is its section 2.2, which here is exact: a step in units of the stored weight.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import INT32_MAX, Float64Array, Int64Array, IntegerArray

Int16Array = NDArray[np.int16]

MANTISSA_BITS = 15
"""Of a gradient's values, without the sign."""

LARGEST = (1 << MANTISSA_BITS) - 1
"""Of a gradient's values."""

EXPONENT_OF_ZERO = -4096
"""Of a gradient that is 0 everywhere: below all others, so that it changes nothing where it joins one."""

GUARD_BITS = 14
"""Of gradients that join: the exponent of one may be that of values that were clamped, so that it uses few bits."""

MASTER_FRACTION_BITS = 8
"""Of an int16 master weight: it is 256 times the int8 weight that the forward pass uses."""

MASTER_LIMIT = 32640
"""Master weights are within [-32640, 32639], so that the rounded weights are within [-127, 127]."""

BIAS_LIMIT = 1 << 30
"""Trained biases are within [-2^30, 2^30]."""

BIAS_REACH = 1 << 19
"""The forward pass takes trained biases as within [-2^19, 2^19], or the power of two above the largest one that a layer
begins with: ten times what networks use. The narrower it is, the more layers have a short exact requantisation.
"""


def bias_reach(initial: IntegerArray) -> int:
    """How far from 0 the forward pass takes biases that begin with these."""
    largest = int(np.abs(initial.astype(np.int64)).max(initial=0))
    return min(BIAS_LIMIT, max(BIAS_REACH, 1 << largest.bit_length()))


DEFAULT_RATE = 0.01
"""The learning rate that a training step begins with unless another one was asked for."""

_MOST_LEFT = 31
_MOST_RIGHT = 62


def shifted_right(x: IntegerArray, shift: IntegerArray | int) -> Int64Array:
    """x / 2^shift, halves upwards; shift from 0 on, as 62 above that; |x| < 2^62."""
    shift = np.minimum(np.asarray(shift, np.int64), _MOST_RIGHT)
    half = (np.int64(1) << shift) >> 1
    return (x.astype(np.int64) + half) >> shift


def shifted(x: IntegerArray, shift: IntegerArray | int) -> Int64Array:
    """`shifted_right`; for a shift below 0 x * 2^-shift of x within int32, at most 2^31 times as much."""
    shift = np.asarray(shift, np.int64)
    left = np.clip(x.astype(np.int64), -INT32_MAX, INT32_MAX) << np.clip(-shift, 0, _MOST_LEFT)
    return np.where(shift < 0, left, shifted_right(x, np.maximum(shift, 0)))


def renormalized(sums: IntegerArray, exponent: int) -> tuple[Int16Array, int]:
    """A gradient of int32 sums in units of 2^exponent: the largest of them gets 15 bits."""
    largest = int(np.abs(sums.astype(np.int64)).max(initial=0))
    if largest == 0:
        return np.zeros(sums.shape, np.int16), EXPONENT_OF_ZERO
    shift = largest.bit_length() - MANTISSA_BITS
    values = np.clip(shifted(sums, shift), -LARGEST, LARGEST)
    return values.astype(np.int16), exponent + shift


def joined(a: Int16Array, a_exponent: int, b: Int16Array, b_exponent: int) -> tuple[Int16Array, int]:
    """The sum of two gradients of one tensor, at the larger exponent with `GUARD_BITS` more."""
    exponent = max(a_exponent, b_exponent)
    a_part, b_part = (values.astype(np.int64) << GUARD_BITS for values in (a, b))
    sums = shifted_right(a_part, exponent - a_exponent) + shifted_right(b_part, exponent - b_exponent)
    return renormalized(sums, exponent - GUARD_BITS)


def factor(real: float) -> tuple[int, int]:
    """(mantissa in [2^14, 2^15), exponent) of a positive number: real ~ mantissa * 2^exponent.

    Raises:
        ValueError: it isn't positive and finite.
    """
    if not (math.isfinite(real) and real > 0):
        raise ValueError(f"{real} is no positive number")
    fraction, exponent = math.frexp(real)
    mantissa = math.floor(fraction * (1 << MANTISSA_BITS) + 0.5)
    if mantissa > LARGEST:
        mantissa, exponent = mantissa >> 1, exponent + 1
    return mantissa, exponent - MANTISSA_BITS


def multiplier(real: float) -> tuple[int, int]:
    """(mantissa up to 2^15, exponent) of a number that gradients are multiplied with: `factor`, but powers of two leave
    values as they are. Halves that all round upwards would be much of a sum in which the rest cancels.
    """
    mantissa, exponent = factor(abs(real))
    if mantissa == 1 << MANTISSA_BITS - 1:
        mantissa, exponent = 2 * mantissa, exponent - 1
    return (mantissa if real > 0 else -mantissa), exponent


def factors(reals: Float64Array) -> tuple[IntegerArray, IntegerArray]:
    """`factor` of each of some numbers: int64 arrays of their shape."""
    found = np.array([factor(float(real)) for real in reals.ravel()], np.int64).reshape(*reals.shape, 2)
    return found[..., 0], found[..., 1]


def common_factors(reals: Float64Array) -> tuple[Int16Array, int]:
    """(mantissas, exponent) of positive numbers at one exponent: the largest has 15 bits, others fewer."""
    _, exponent = factor(float(reals.max()))
    scaled = np.floor(np.ldexp(reals.astype(np.float64), -exponent) + 0.5)
    return np.minimum(scaled, LARGEST).astype(np.int16), exponent


def width(terms: int, largest: int) -> int:
    """Bits of a gradient's values, without the sign, with which sums of so many products stay within int32.

    Args:
        largest: absolute value of what the gradient is multiplied with.

    Raises:
        ValueError: not even values of 4 bits.
    """
    bits = min(MANTISSA_BITS, (INT32_MAX // (terms * largest)).bit_length() - 1)
    if bits < 4:
        raise ValueError(f"sums of {terms:,} products leave no room for gradients in 32 bits")
    return bits


def narrowed(values: Int16Array, bits: int) -> Int64Array:
    """Values in units that are 2^(15 - bits) times as large; within [-2^bits, 2^bits]."""
    return shifted_right(values, MANTISSA_BITS - bits)


def scaled(values: Int16Array, mantissas: IntegerArray | int, bits: int) -> Int64Array:
    """Values times mantissas, in units that are 2^(30 - bits) times as large; within [-2^bits, 2^bits]."""
    return shifted_right(values.astype(np.int64) * mantissas, 2 * MANTISSA_BITS - bits)


def rounded_weights(master: IntegerArray) -> NDArray[np.int8]:
    """The int8 weights of int16 master weights."""
    half = 1 << MASTER_FRACTION_BITS - 1
    return ((master.astype(np.int64) + half) >> MASTER_FRACTION_BITS).astype(np.int8)


def descended(
    parameter: IntegerArray, gradient: IntegerArray, exponent: int, rates: tuple[IntegerArray, IntegerArray], low: int
) -> Int64Array:
    """A parameter after one step of gradient descent.

    Args:
        gradient: int32, in units of 2^exponent.
        rates: mantissas, products of two factors' and so below 2^30, and exponents, of what a unit of the gradient
            changes in units of the parameter.
        low: it stays within [low, -low], or [low, -low - 1] for `MASTER_LIMIT`'s.
    """
    mantissas, exponents = rates
    change = shifted(gradient.astype(np.int64) * mantissas, -(exponents + exponent))
    high = -low - (1 if low == -MASTER_LIMIT else 0)
    return np.clip(parameter.astype(np.int64) - change, low, high)
