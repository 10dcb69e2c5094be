"""Average pooling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Node, Signature
from tinycompile.numerics.block_floating import multiplier
from tinycompile.numerics.requant import Requant
from tinycompile.ops._elementwise import requantized
from tinycompile.ops._pool import Pool
from tinycompile.ops._spatial import Padding, Pair, repadded
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.pool_gradient import AveragePoolGradient
from tinycompile.ops._training.rule import Tape, passed_through, slopes
from tinycompile.ops._training.scaled_gradient import SpreadGradient


@dataclass(frozen=True)
class AveragePool2D(Pool):
    """int8 (N = 1) or float32, any window, stride and padding; only positions inside the input count. int8 values are
    averaged as they are, whatever scales input and output have; with fused RELU, RELU6 and RELU_N1_TO_1. With a rule of
    its own it rescales. float32 with any dilation.

    Attributes:
        rule: from the sum over a window of int8 inputs minus their zero point to the output, in the range of `clamp`;
            None for TFLite's rounded quotient. One channel; with padding one for every number of rows and columns of
            a window that can be inside the input: 1 x 1, 1 x 2, ... up to the kernel's.
        counted: how many of the padded rows and columns count, as zeros, in the order of `padding`; of floats only.
    """

    kind: ClassVar[str] = "average_pool2d"

    rule: Requant | None = None
    counted: Padding = field(default=(0, 0, 0, 0), kw_only=True)

    @property
    def count(self) -> int:
        """Positions in a whole window."""
        return self.kernel[0] * self.kernel[1]

    def limits(self, sig: Signature) -> str | None:
        if self.rule is not None and self.rule.channels != (self.count if self.rescales_by_count else 1):
            return f"a rule with {self.rule.channels} channels for windows {self.kernel}, padded by {self.padding}"
        return "padding that counts" if any(self.counted) else None

    def integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Sum / count, halves away from zero, of the int8 values as they are (`integer_ops/pooling.h`)."""
        x = inputs[0].astype(np.int32)
        if self.rule is not None:
            centred = self._total(x) - self._inside(x) * np.int32(sig.input.zero_point)
            return (self._rescaled(self.rule, centred, x.shape).astype(np.int8),)
        total, count = self._total(x), self._inside(x).astype(np.int32)
        rounded = np.sign(total) * ((np.abs(total) + count // 2) // count)
        return (np.clip(rounded, *self.clamp).astype(inputs[0].dtype),)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """With a rule of its own it rescales real numbers, and may multiply them; else it hands values on."""
        if self.rule is None:
            super().vjp(tape, node, gradient)
            return
        gradient = passed_through(tape, node, gradient, self.clamp)
        gain = multiplier(float(slopes(tape.signature(node), self.rule)[-1]) * self.count)
        if gain != multiplier(1.0):
            shape = tape.type_of(gradient.values).shape
            gradient = Gradient(*tape.emit(SpreadGradient(shape, shape, gain), *gradient, meaning="rescaled"))
        tape.add(node.inputs[0], self.handed_down(tape, node, gradient))

    def handed_down(self, tape: Tape, node: Node, gradient: Gradient) -> Gradient:
        shape = tape.type_of(node.inputs[0]).shape
        if self.kernel == shape[1:3] and not any(self.padding):
            spread = SpreadGradient(shape, (1, 1, 1, shape[3]), multiplier(1 / self.count))
            return Gradient(*tape.emit(spread, *gradient, meaning="input_gradient"))
        op = AveragePoolGradient(self.slid, shape)
        return Gradient(*tape.emit(op, *gradient, meaning="input_gradient"))

    def padded_along(self, axis: int, padding: Pair) -> AveragePool2D:
        """Of the rows or columns that are left of the padding, those next to the input still count."""
        before, after = (min(pair) for pair in zip(self.counted[2 * axis : 2 * axis + 2], padding, strict=True))
        counted = repadded(self.counted, axis, (before, after))
        return replace(self, padding=repadded(self.padding, axis, padding), counted=counted)

    @property
    def rescales_by_count(self) -> bool:
        """Whether the rule has a channel for every number of rows and columns inside the input."""
        return self.rule is not None and (any(self.padding) or self.rule.channels > 1)

    def _rescaled(self, rule: Requant, sums: Array, shape: Sequence[int]) -> Array:
        """The outputs for sums (1, oh, ow, C) over windows of an image of this shape."""
        if not self.rescales_by_count:
            return requantized(rule, sums, 0)
        rows, columns = (self._counts(axis, shape[1 + axis], sums.shape[1 + axis]) for axis in range(2))
        channel = (rows[:, None] - 1) * self.kernel[1] + columns[None, :] - 1
        outputs = np.empty(sums.shape, np.int32)
        for each in np.unique(channel):
            outputs[:, channel == each] = requantized(rule.take(np.array([each])), sums[:, channel == each], 0)
        return outputs

    def _counts(self, axis: int, size: int, windows: int) -> Array:
        """How many rows or columns of each window are inside the input."""
        first = np.arange(windows) * self.stride[axis] - self.padding[2 * axis]
        return np.minimum(first + self.kernel[axis], size) - np.maximum(first, 0)

    def real(self, x: Array) -> Array:
        return self._total(x) / self._inside(x)

    def _total(self, x: Array) -> Array:
        """Sums over the windows, in the type of `x`."""
        return sum((tap for _, _, tap in self.slid.taps(self.slid.pad(x, 0))), x.dtype.type(0))

    def _inside(self, x: Array) -> Array:
        """How many positions of each window count, shape (1, oh, ow, 1)."""
        (height, width), (top, bottom, left, right), counted = x.shape[1:3], self.padding, self.counted
        inside = np.zeros((1, top + height + bottom, left + width + right, 1), x.dtype)
        rows = slice(top - counted[0], top + height + counted[1])
        inside[:, rows, left - counted[2] : left + width + counted[3]] = 1
        return sum((tap for _, _, tap in self.slid.taps(inside)), x.dtype.type(0))
