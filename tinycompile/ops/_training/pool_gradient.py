"""Gradients of pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import MANTISSA_BITS, factor, narrowed, renormalized, scaled, width
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.gradient import Inferred, exponent_array, gradient_of


@dataclass(frozen=True)
class PoolGradient(Op):
    """Base of the gradients of average and maximum pooling: every window hands its gradient to what is under it.

    Attributes:
        window: that slid. shape: of the input, (1, H, W, C).
    """

    window: Window
    shape: tuple[int, ...]

    @property
    def image(self) -> tuple[int, int]:
        """Rows and columns of the input."""
        return self.shape[1], self.shape[2]

    @property
    def overlaps(self) -> int:
        """Windows over a position, at most."""
        pairs = zip(self.window.kernel, self.window.stride, strict=True)
        return prod(-(-kernel // stride) for kernel, stride in pairs)

    @property
    def bits(self) -> int:
        """Of the gradients that are added up."""
        return width(self.overlaps, 1)

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        if inputs[0].shape != (1, *self.window.output_size(*self.image), self.shape[3]):
            raise ValueError(f"{inputs[0]} is no gradient of windows over {self.shape}")
        return gradient_of(self.shape)

    def framed(self) -> Array:
        """Zeros for the input with its padding."""
        return self.window.pad(np.zeros(self.shape, np.int64), 0)

    def inside(self, framed: Array) -> Array:
        """Without it."""
        top, _, left, _ = self.window.padding
        return framed[:, top : top + self.shape[1], left : left + self.shape[2]]


@dataclass(frozen=True)
class AveragePoolGradient(PoolGradient):
    """Gradient (int16, exponent) of an average pooling's output to that of its input: a window's gradient times 1 / its
    positions inside the input goes to each of these, sums are renormalised.
    """

    kind: ClassVar[str] = "average_pool_gradient"

    def shares(self) -> tuple[Array, int]:
        """(mantissas (1, oh, ow, 1) of 1 / positions inside, their exponent)."""
        inside = self.window.pad(np.ones((1, *self.shape[1:3], 1), np.int64), 0)
        counts = np.sum([tap for _, _, tap in self.window.taps(inside)], axis=0)
        _, exponent = factor(1 / int(counts.min()))
        return np.floor(np.ldexp(1 / counts, -exponent) + 0.5).astype(np.int64), exponent

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent = inputs
        mantissas, own = self.shares()
        parts, framed = scaled(values, mantissas, self.bits), self.framed()
        for _, _, tap in self.window.taps(framed):
            tap += parts
        place = int(exponent[0]) + 2 * MANTISSA_BITS - self.bits + own
        found, place = renormalized(self.inside(framed), place)
        return found, exponent_array(place)


@dataclass(frozen=True)
class MaxPoolGradient(PoolGradient):
    """Gradient (int16, exponent) of a maximum pooling's output, and its int8 input, to the gradient of that: a window's
    goes to the first of its largest values, row by row; sums are renormalised.
    """

    kind: ClassVar[str] = "max_pool_gradient"

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values, exponent, x = inputs
        parts, framed = narrowed(values, self.bits), self.framed()
        padded = self.window.pad(x.astype(np.int64), -(1 << 15))
        taps = [tap for _, _, tap in self.window.taps(padded)]
        largest = np.max(taps, axis=0)
        free = np.ones(largest.shape, np.bool_)
        for tap, (_, _, to) in zip(taps, self.window.taps(framed), strict=True):
            here = free & (tap == largest)
            to += np.where(here, parts, 0)
            free &= ~here
        found, place = renormalized(self.inside(framed), int(exponent[0]) + MANTISSA_BITS - self.bits)
        return found, exponent_array(place)
