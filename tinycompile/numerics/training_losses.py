"""Losses and their gradients in integers: softmax with cross-entropy, and mean squared error.

Logits become powers of two: e^(s q) = 2^(s q log2(e)), whose fraction of 8 bits is looked up. Losses are reported with
16 fractional bits.
"""

from __future__ import annotations

import math

import numpy as np

from tinycompile.numerics.block_floating import common_factors, factor, renormalized, scaled, shifted, shifted_right
from tinycompile.numerics.fixed_point import INT32_MAX, Int64Array, IntegerArray

FRACTION_BITS = 8
"""Of the exponents of 2."""

LOSS_BITS = 16
"""Fractional bits of a loss."""

PROBABILITY_BITS = 14

POWERS = np.floor(2.0 ** (15 - np.arange(256) / 256) + 0.5).astype(np.uint16)
"""2^(-i / 256) with 15 fractional bits."""

LOG_2 = 45426
"""ln(2) with 16 fractional bits."""

LARGEST_LOSS = INT32_MAX

_MOST_DISTANT = 1 << 20
"""Of distances between logits: losses stay within 32 bits."""


def logit_factor(scale: float) -> tuple[int, int]:
    """From a distance of logits of this scale to one of exponents of 2, with `FRACTION_BITS`."""
    return factor(scale * math.log2(math.e) * (1 << FRACTION_BITS))


def distances(logits: IntegerArray, scale: float) -> Int64Array:
    """From the largest logit to each, as exponents of 2 with `FRACTION_BITS`."""
    mantissa, exponent = logit_factor(scale)
    below = logits.max().astype(np.int64) - logits
    return np.minimum(shifted(below * mantissa, -exponent), _MOST_DISTANT)


def exponentials(distance: Int64Array) -> Int64Array:
    """2^-distance with 15 fractional bits."""
    return shifted_right(POWERS[distance & 255].astype(np.int64), np.minimum(distance >> FRACTION_BITS, 31))


def cross_entropy(logits: IntegerArray, scale: float, label: int) -> tuple[np.ndarray, int, int]:
    """(values, exponent, loss): the gradient by the logits, which is softmax - one-hot, and -ln(p[label]).

    Args:
        logits: int8 (n,). scale: of theirs. label: of a class; one outside [0, n) is the nearest.
    """
    label = min(max(label, 0), logits.size - 1)
    distance = distances(logits, scale)
    powers = exponentials(distance)
    total = int(powers.sum())
    probabilities = ((powers << PROBABILITY_BITS) + total // 2) // total
    probabilities[label] -= 1 << PROBABILITY_BITS
    bits = binary_logarithm(total) - (15 << LOSS_BITS) + (int(distance[label]) << LOSS_BITS - FRACTION_BITS)
    loss = (max(bits, 0) * LOG_2 + (1 << LOSS_BITS - 1)) >> LOSS_BITS
    return *renormalized(probabilities, -PROBABILITY_BITS), loss


def binary_logarithm(x: int) -> int:
    """log2(x) of a 32-bit number from 1 on, with `LOSS_BITS`, rounded down: a bit for each squaring."""
    whole = x.bit_length() - 1
    mantissa, result = x << 31 - whole, whole
    for _ in range(LOSS_BITS):
        mantissa = mantissa * mantissa >> 31
        bit = mantissa >> 32
        mantissa >>= bit
        result = 2 * result + bit
    return result


def squared_error_factors(scales: tuple[float, float], elements: int) -> tuple[tuple[int, int], int, tuple[int, int]]:
    """((mantissas of output and target), their exponent, the factor 2 / elements)."""
    (y, t), exponent = common_factors(np.array(scales, np.float64))
    return (int(y), int(t)), exponent, factor(2 / elements)


def squared_error(
    output: IntegerArray, target: IntegerArray, scales: tuple[float, float], zero_points: tuple[int, int]
) -> tuple[np.ndarray, int, int]:
    """(values, exponent, loss): of the mean of (output - target)^2 the gradient by the output, and itself.

    Args:
        output, target: int8 of one shape. scales, zero_points: of both.
    """
    (y, t), exponent, (mantissa, more) = squared_error_factors(scales, output.size)
    centred = (output.astype(np.int64) - zero_points[0]) * y - (target.astype(np.int64) - zero_points[1]) * t
    values, found = renormalized(centred, exponent)
    values = scaled(values, mantissa, 15)
    squares = int((shifted_right(centred, 8) ** 2).sum())
    squares, places = narrow_sum(squares)
    # The mean of squares is half the factor 2 / elements times their sum.
    shift = -(places + 2 * (exponent + 8) + more - 1 + LOSS_BITS)
    loss = int(shifted(np.array([squares * mantissa]), shift)[0])
    return values.astype(np.int16), found + 15 + more, min(loss, LARGEST_LOSS)


def narrow_sum(x: int) -> tuple[int, int]:
    """(x >> shift, shift) with at most 31 bits."""
    shift = max(0, x.bit_length() - 31)
    return x >> shift, shift
