"""Fast Fourier transforms of integers, as kissfft 130 computes them in fixed point, which is what TFLM's signal
operators run: the same factors, the same roundings, sums that wrap.

A transform of n = p1 * p2 * ... points goes through one stage for each factor. A stage divides all values by its
factor, so that sums stay in range, multiplies them by twiddle factors, and adds them up. A complex number is two
integers beside each other, its real and its imaginary part, here two arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from tinycompile.dtypes import Array

LARGEST_FACTOR = 5
"""kissfft has a stage for each factor up to this one; for others TFLM's build of it has no memory."""

LARGEST_LENGTH = 1 << 16
"""Points of a real transform: more than a microcontroller has memory for."""

Complex = tuple[Array, Array]


@dataclass(frozen=True)
class FixedPoint:
    """How elements of some bits are rounded.

    Attributes:
        bits: of an element; 16 or 32.
    """

    bits: int

    @property
    def one(self) -> int:
        """What stands for 1, the largest number."""
        return (1 << self.bits - 1) - 1

    def wrapped(self, x: Array) -> Array:
        """As an element holds it."""
        half = 1 << self.bits - 1
        return ((x + half) & ((1 << self.bits) - 1)) - half

    def rounded(self, product: Array) -> Array:
        """A product of two elements, or a sum of two, as one element."""
        return self.wrapped((product + (1 << self.bits - 2)) >> self.bits - 1)

    def divided(self, x: Complex, by: int) -> Complex:
        return self.rounded(x[0] * (self.one // by)), self.rounded(x[1] * (self.one // by))

    def product(self, x: Complex, y: Complex) -> Complex:
        return self.rounded(x[0] * y[0] - x[1] * y[1]), self.rounded(x[0] * y[1] + x[1] * y[0])

    def sum(self, x: Complex, y: Complex) -> Complex:
        return self.wrapped(x[0] + y[0]), self.wrapped(x[1] + y[1])

    def difference(self, x: Complex, y: Complex) -> Complex:
        return self.wrapped(x[0] - y[0]), self.wrapped(x[1] - y[1])

    def half(self, x: Array) -> Array:
        """Of a sum, which is computed in at least 32 bits."""
        return self.wrapped(FixedPoint(32).wrapped(x) >> 1)

    def angle(self, phase: float) -> tuple[int, int]:
        """Cosine and sine, rounded; by the C library's functions, as kissfft's are."""
        return tuple(math.floor(0.5 + self.one * f(phase)) for f in (math.cos, math.sin))  # type: ignore[return-value]


def factors(n: int) -> tuple[int, ...]:
    """Of a complex transform of n points, the outermost stage first: fours, twos, then odd ones; what is left when a
    factor would be larger than the root of n is one factor. Raises ValueError where a stage is missing for one.
    """
    found, left, p, root = list[int](), n, 4, math.isqrt(n)
    while left > 1:
        while left % p:
            p = {4: 2, 2: 3}.get(p, p + 2)
            if p > root:
                p = left
        left //= p
        found.append(p)
    if not found or max(found) > LARGEST_FACTOR:
        raise ValueError(f"a transform of {2 * n} points, of which half has other factors than 2, 3 and 5")
    return tuple(found)


@cache
def twiddles(n: int, bits: int, *, inverse: bool) -> Array:
    """Roots of 1 that the stages of n points multiply by, shape (n, 2)."""
    sign = -1.0 if inverse else 1.0
    fixed = FixedPoint(bits)
    return np.array([fixed.angle(sign * (-2 * math.pi * i / n)) for i in range(n)], np.int64)


@cache
def real_twiddles(n: int, bits: int, *, inverse: bool) -> Array:
    """Factors between a complex transform of n points and a real one of 2 n, shape (n // 2, 2)."""
    sign = -1.0 if inverse else 1.0
    fixed = FixedPoint(bits)
    return np.array([fixed.angle(sign * (-math.pi * ((i + 1) / n + 0.5))) for i in range(n // 2)], np.int64).reshape(
        -1, 2
    )


def order(n: int) -> Array:
    """Which point the first stage executed reads into each place, shape (n,)."""
    places = np.zeros(1, np.int64)
    for p in reversed(factors(n)):
        places = (np.arange(p)[:, None] + p * places).ravel()
    return places


def complex_transform(x: Complex, bits: int, *, inverse: bool) -> Complex:
    """Of the last axis, (..., n) each part; integers of at most `bits` bits in int64."""
    n = x[0].shape[-1]
    tw, places, m = twiddles(n, bits, inverse=inverse), order(n), 1
    y = x[0][..., places], x[1][..., places]
    for p in reversed(factors(n)):
        groups = n // (p * m)
        rows = [tuple(part.reshape(*part.shape[:-1], groups, p, m)[..., q, :] for part in y) for q in range(p)]
        angles = [tw[q * groups * np.arange(m) % n] for q in range(p)]
        made = _stage(FixedPoint(bits), rows, angles, tw[groups * m * np.arange(p) % n], inverse)  # type: ignore[arg-type]
        y = tuple(np.stack([each[part] for each in made], -2).reshape(x[0].shape) for part in (0, 1))
        m *= p
    return y  # type: ignore[return-value]


def _stage(f: FixedPoint, rows: list[Complex], angles: list[Array], roots: Array, inverse: bool) -> list[Complex]:
    """The rows that a stage of p rows makes, each (..., m); `roots`: (p, 2)."""
    p = len(rows)
    first, *others = (f.divided(row, p) for row in rows)
    turned = [f.product(row, (a[:, 0], a[:, 1])) for row, a in zip(others, angles[1:], strict=True)]
    match p:
        case 2:
            return [f.sum(first, turned[0]), f.difference(first, turned[0])]
        case 3:
            return _three(f, first, turned, int(roots[1, 1]))
        case 4:
            return _four(f, first, turned, inverse)
        case _:
            return _five(f, first, turned, roots)


def _three(f: FixedPoint, first: Complex, turned: list[Complex], sine: int) -> list[Complex]:
    together, apart = f.sum(*turned), f.difference(*turned)
    middle = f.wrapped(first[0] - (together[0] >> 1)), f.wrapped(first[1] - (together[1] >> 1))
    side = f.rounded(apart[0] * sine), f.rounded(apart[1] * sine)
    crossed = -side[1], side[0]
    return [f.sum(first, together), f.sum(middle, crossed), f.difference(middle, crossed)]


def _four(f: FixedPoint, first: Complex, turned: list[Complex], inverse: bool) -> list[Complex]:
    a, b, c = turned
    less, more = f.difference(first, b), f.sum(first, b)
    together, apart = f.sum(a, c), f.difference(a, c)
    crossed = (-apart[1], apart[0]) if inverse else (apart[1], -apart[0])
    return [f.sum(more, together), f.sum(less, crossed), f.difference(more, together), f.difference(less, crossed)]


def _five(f: FixedPoint, first: Complex, turned: list[Complex], roots: Array) -> list[Complex]:
    (near, near_sine), (far, far_sine) = ((int(r), int(i)) for r, i in roots[1:3])
    outer, outer_apart = f.sum(turned[0], turned[3]), f.difference(turned[0], turned[3])
    inner, inner_apart = f.sum(turned[1], turned[2]), f.difference(turned[1], turned[2])

    def level(a: int, b: int) -> Complex:
        parts = (f.wrapped(first[i] + f.rounded(outer[i] * a) + f.rounded(inner[i] * b)) for i in (0, 1))
        return tuple(parts)  # type: ignore[return-value]

    def crossed(a: int, b: int) -> Complex:
        r = f.wrapped(f.rounded(outer_apart[1] * a) + f.rounded(inner_apart[1] * b))
        i = f.wrapped(-f.rounded(outer_apart[0] * a) - f.rounded(inner_apart[0] * b))
        return r, i

    one, two = level(near, far), level(far, near)
    side = crossed(near_sine, far_sine)
    other = (
        f.wrapped(f.rounded(inner_apart[1] * near_sine) - f.rounded(outer_apart[1] * far_sine)),
        f.wrapped(f.rounded(outer_apart[0] * far_sine) - f.rounded(inner_apart[0] * near_sine)),
    )
    total = tuple(f.wrapped(first[i] + outer[i] + inner[i]) for i in (0, 1))
    return [total, f.difference(one, side), f.sum(two, other), f.difference(two, other), f.sum(one, side)]  # type: ignore[list-item]


def real_transform(x: Array, bits: int) -> Array:
    """Real points to the lower half of their spectrum: (..., 2 n) to (..., n + 1, 2)."""
    f, n = FixedPoint(bits), x.shape[-1] // 2
    y = complex_transform((x[..., 0::2], x[..., 1::2]), bits, inverse=False)
    result = np.zeros((*x.shape[:-1], n + 1, 2), np.int64)
    first = f.divided((y[0][..., 0], y[1][..., 0]), 2)
    result[..., 0, 0], result[..., n, 0] = f.wrapped(first[0] + first[1]), f.wrapped(first[0] - first[1])
    k = np.arange(1, n // 2 + 1, dtype=np.int64)
    ahead = f.divided((y[0][..., k], y[1][..., k]), 2)
    behind = f.divided((y[0][..., n - k], f.wrapped(-y[1][..., n - k])), 2)
    even, odd = f.sum(ahead, behind), f.difference(ahead, behind)
    tw = real_twiddles(n, bits, inverse=False)
    turned = f.product(odd, (tw[:, 0], tw[:, 1]))
    result[..., k, 0], result[..., k, 1] = f.half(even[0] + turned[0]), f.half(even[1] + turned[1])
    result[..., n - k, 0], result[..., n - k, 1] = f.half(even[0] - turned[0]), f.half(turned[1] - even[1])
    return result


def inverse_real_transform(x: Array, bits: int) -> Array:
    """The lower half of a spectrum to real points: (..., n + 1, 2) to (..., 2 n)."""
    f, n = FixedPoint(bits), x.shape[-2] - 1
    re, im = np.zeros((2, *x.shape[:-2], n), np.int64)
    ends = f.wrapped(x[..., 0, 0] + x[..., n, 0]), f.wrapped(x[..., 0, 0] - x[..., n, 0])
    re[..., 0], im[..., 0] = f.divided(ends, 2)
    k = np.arange(1, n // 2 + 1, dtype=np.int64)
    ahead = f.divided((x[..., k, 0], x[..., k, 1]), 2)
    behind = f.divided((x[..., n - k, 0], f.wrapped(-x[..., n - k, 1])), 2)
    even, odd = f.sum(ahead, behind), f.difference(ahead, behind)
    tw = real_twiddles(n, bits, inverse=True)
    turned = f.product(odd, (tw[:, 0], tw[:, 1]))
    re[..., k], im[..., k] = f.sum(even, turned)
    back = f.difference(even, turned)
    re[..., n - k], im[..., n - k] = back[0], f.wrapped(-back[1])
    return np.stack(complex_transform((re, im), bits, inverse=True), -1).reshape(*x.shape[:-2], 2 * n)
