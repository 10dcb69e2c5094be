from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tinycompile.numerics.wide_requant import RealRequant, high_product

LIMITS = (-(2**15), 2**15 - 1)


def expected(total: int, slope: Fraction, offset: Fraction, zero_point: int) -> int:
    """`round` of a Fraction has halves to even."""
    return min(max(round(total * slope + offset) + zero_point, LIMITS[0]), LIMITS[1])


@pytest.mark.parametrize("bits", [16, 31, 44])
@pytest.mark.parametrize("dyadic", [False, True])
def test_is_the_real_number_rounded_once(bits: int, dyadic: bool):
    """Powers of two, and offsets of quarters: half of the outputs are ties then."""
    rng = np.random.default_rng(bits)
    largest = 2**bits
    scales = [2.0 ** int(n) for n in rng.integers(14, 17, 4)] if dyadic else rng.uniform(2**12, 2**17, 4)
    slope = [Fraction(float(s)) / largest / (1 if dyadic else 3) for s in scales]
    offset = [Fraction(int(n), 4) if dyadic else Fraction(float(n)) for n in rng.integers(-4000, 4000, 4)]
    rule = RealRequant.of(slope, offset, [largest] * 4, 77, LIMITS)
    sums = rng.integers(-largest, largest, (500, 4), endpoint=True)
    sums[:2] = [[-largest], [largest]]
    wanted = [[expected(int(n), s, o, 77) for n, s, o in zip(row, slope, offset, strict=True)] for row in sums.tolist()]
    assert rule.apply(sums).tolist() == wanted


def test_high_product():
    rng = np.random.default_rng(1)
    a, b = rng.integers(-(2**62), 2**62, 200, endpoint=True), rng.integers(0, 2**62, 200, endpoint=True)
    a[:3], b[:3] = (-(2**62), 2**62, -1), (2**62, 2**62, 1)
    assert high_product(a, b).tolist() == [x * y >> 64 for x, y in zip(a.tolist(), b.tolist(), strict=True)]


def test_says_that_numbers_leave_64_bits():
    with pytest.raises(ValueError, match="64 bits"):
        RealRequant.of([Fraction(1)], [Fraction(0)], [2**50], 0, LIMITS)
