"""Transposed two-dimensional convolution, also grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import gcd
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Spread, Whole
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic import hybrid, real, wide
from tinycompile.ops._arithmetic.wide import WideRequant, WideRule
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._spatial import Pair
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Phase:
    """The output positions first, first + stride, ... of one axis: each reads the input through the same taps.

    Output position number m reads the inputs m + origin + j * apart, for each j the weights' position taps[j].

    Attributes:
        first: the first output position. count: how many there are.
        taps: positions in the kernel, from the last to the first; none where the kernel is shorter than the stride.
        origin: the input position that the first tap reads for m = 0; may be outside.
    """

    first: int
    count: int
    taps: tuple[int, ...]
    origin: int
    apart: int


def phases_of(size: int, kernel: int, stride: int, dilation: int, cut: int) -> tuple[Phase, ...]:
    """The phases of one axis that have any outputs, by their first output.

    Input i and kernel position k meet in output i * stride + k * dilation - cut, for outputs in [0, size).
    """
    common = gcd(stride, dilation)
    found = list[Phase]()
    for first in range(min(stride, size)):
        taps = [k for k in reversed(range(kernel)) if (first + cut - k * dilation) % stride == 0]
        origin = (first + cut - taps[0] * dilation) // stride if taps else 0
        found.append(Phase(first, -(-(size - first) // stride), tuple(taps), origin, dilation // common))
    return tuple(found)


@dataclass(frozen=True)
class TransposeConv(Typed):
    """int8 input (N = 1) and weights, int32 bias or none, one scale for all weights or one per output channel, zero
    points 0; int16 input and int8 weights, int64 or int32 bias or none; or float32 with any batch; any kernel, stride,
    output size and number of groups; fused RELU, RELU6 and RELU_N1_TO_1 of integers. Or a float32 input and int8
    weights: each image is quantised while the model runs.

    Operands: x in NHWC, constant weights (C_out, kh, kw, C_in / groups), optionally bias (C_out,).

    Attributes:
        size: (rows, columns) of the output: what is beyond the inputs' reach is the bias alone.
        stride: (rows, columns) between what neighbouring inputs add to. dilation: between a kernel's positions.
        cut: (rows, columns) that the output lacks at its beginning.
        clamp: inclusive range of the int8 output, which a fused activation narrows.
        rule: from accumulators (bias included) to outputs, one entry per output channel, in the range of `clamp`;
            None for TFLite's, which follows from the scales.
        wide_rule: from sums of int16 inputs minus their zero point, times weights, to outputs: ONNX's; None for
            TFLite's.
    """

    kind: ClassVar[str] = "transpose_conv"

    size: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    cut: Pair = (0, 0)
    clamp: Pair = (-128, 127)
    rule: Requant | None = None
    wide_rule: RealRequant | None = field(default=None, kw_only=True)

    def groups(self, sig: Signature) -> int:
        return sig.input.shape[3] // sig.inputs[1].shape[3]

    def phases(self, sig: Signature) -> tuple[tuple[Phase, ...], tuple[Phase, ...]]:
        """Of rows and of columns."""
        _, kh, kw, _ = sig.inputs[1].shape
        rows = phases_of(self.size[0], kh, self.stride[0], self.dilation[0], self.cut[0])
        return rows, phases_of(self.size[1], kw, self.stride[1], self.dilation[1], self.cut[1])

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, w = inputs[0].shape, inputs[1].shape
        if len(x) != 4 or len(w) != 4 or min(self.size) < 1:
            raise ValueError(f"{inputs[0]} with weights {inputs[1]} for an output of {self.size}")
        if w[3] == 0 or x[3] % w[3] or w[0] % (x[3] // w[3]):
            raise ValueError(f"{x[3]} channels don't divide into groups of weights {inputs[1]}")
        if len(inputs) > 2 and inputs[2].shape != (w[0],):
            raise ValueError(f"the bias has shape {inputs[2].shape}, the weights have {w[0]} output channels")
        return (((x[0], *self.size, w[0]), inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        """By blocks of a stride, if the output is made of these."""
        x, weights = sig.input, sig.inputs[1]
        hybrid_weights = x.dtype == FLOAT32 and weights.dtype != FLOAT32  # the whole image decides their scale
        blocks = all(n % stride == 0 for n, stride in zip(self.size, self.stride, strict=True))
        cut_less = all(cut < k for cut, k in zip(self.cut, weights.shape[1:3], strict=True))
        if operand or x.shape[0] != 1 or hybrid_weights or not (blocks and cut_less) or self.dilation != (1, 1):
            return Whole()
        fill = 0 if x.quant is None else x.zero_point
        return Spread(weights.shape[1:3], self.stride, self.cut, fill)

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """Its input begins with what reaches into the part from before."""
        access = self.access(sig, 0)
        if not isinstance(access, Spread):
            return None
        rows, columns = (n if size is None else size for size, n in zip(sizes, self.size, strict=True))
        top, left = (
            cut if size is None else cut + access.before(axis) * stride
            for axis, (size, cut, stride) in enumerate(zip(sizes, self.cut, self.stride, strict=True))
        )
        return replace(self, size=(rows, columns), cut=(top, left))

    def requant(self, sig: Signature) -> Requant:
        """The rule from accumulators (bias included) to outputs (`PopulateConvolutionQuantizationParams`)."""
        if self.rule is not None:
            return self.rule
        return TfliteRequant(*quantize_multiplier(self._real_scale(sig)), sig.output.zero_point, *self.clamp)

    def wide_requant(self, sig: Signature) -> WideRule:
        """The rule of int16 activations; TFLite's depends on the type of the bias."""
        if self.wide_rule is not None:
            return self.wide_rule
        form = "double" if len(sig.inputs) > 2 and sig.inputs[2].dtype == INT32 else "reduced"
        return WideRequant.of(self._real_scale(sig), self.clamp, form)

    def _real_scale(self, sig: Signature) -> Array:
        """Of an accumulator's step in steps of the output, one per channel."""
        weights = sig.inputs[1]
        if weights.quant is None:
            raise ValueError("the weights have no quantisation parameters")
        factors = sig.input.scale * weights.quant.scale.astype(np.float64) / sig.output.scale
        return np.broadcast_to(factors, (weights.shape[0],))

    def meanings(self) -> Meanings:
        integers = {INT8: Meaning(self._integers, self._limits), INT16: Meaning(self._wide, self._wide_limits)}
        return {**integers, FLOAT32: Meaning(self._float, self._float_limits)}

    def _float(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return self._hybrid(sig, inputs) if hybrid.is_hybrid(sig) else self._real(sig, inputs)

    def _float_limits(self, sig: Signature) -> str | None:
        types = hybrid.limits(sig, 0) if hybrid.is_hybrid(sig) else real.other_types(sig)
        return types or real.fused(self.clamp) or (None if self.rule is None else "a requantisation of floats")

    def _hybrid(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """LiteRT scales every product and adds floats; here the products are added, exactly, and then scaled."""
        x = inputs[0]
        rows = hybrid.quantized(x.reshape(x.shape[0], -1), asymmetric=True)
        sums = self._sums(sig, rows.centred.reshape(x.shape).astype(np.float64), inputs[1].astype(np.float64))
        bias = inputs[2] if len(inputs) > 2 else None
        return (hybrid.real(sums, rows.scale[:, None, None, None], hybrid.weight_scales(sig, 0), bias),)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        centred = inputs[0].astype(np.float64) - sig.input.zero_point
        acc = self._sums(sig, centred, inputs[1].astype(np.float64)).astype(np.int64)
        if len(inputs) > 2:
            acc += inputs[2]
        return (self.requant(sig).apply(acc).astype(np.int8),)

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        centred = inputs[0].astype(np.float64) - sig.input.zero_point
        acc = self._sums(sig, centred, inputs[1].astype(np.float64)).astype(np.int64)
        return (self.wide_requant(sig).apply(acc + inputs[2] if len(inputs) > 2 else acc).astype(np.int16),)

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            sums = self._sums(sig, inputs[0].astype(np.float64), inputs[1].astype(np.float64))
            return ((sums + inputs[2] if len(inputs) > 2 else sums).astype(np.float32),)

    def _sums(self, sig: Signature, x: Array, weights: Array) -> Array:
        """Sums of products (N, rows, columns, C_out), float64: exact for integers, which stay below 2^53."""
        outputs, kh, kw, depth = weights.shape
        groups = self.groups(sig)
        result = np.zeros((x.shape[0], *self.size, outputs))
        for i in range(kh):
            rows, from_rows = self._meeting(i, x.shape[1], 0)
            for j in range(kw):
                columns, from_columns = self._meeting(j, x.shape[2], 1)
                part = x[:, from_rows][:, :, from_columns].reshape(x.shape[0], rows.size, columns.size, groups, depth)
                matrix = weights[:, i, j].reshape(groups, outputs // groups, depth)
                products = np.einsum("nyxgd,god->nyxgo", part, matrix)
                result[:, rows[:, None], columns] += products.reshape(*products.shape[:3], outputs)
        return result

    def _meeting(self, tap: int, size: int, axis: int) -> tuple[Array, Array]:
        """(outputs, inputs) that meet in a position of the kernel along an axis."""
        inputs = np.arange(size)
        outputs = inputs * self.stride[axis] + tap * self.dilation[axis] - self.cut[axis]
        inside = (outputs >= 0) & (outputs < self.size[axis])
        return outputs[inside], inputs[inside]

    def _limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                bad_weights(sig.inputs[1], 0),
                invalid(lambda: self.requant(sig)),
                wrong_dtype(sig.inputs[2], "the bias", INT32) if len(sig.inputs) > 2 else None,
                None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1",
            )
        )

    def _wide_limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                wide.layer_limits(sig, 0, self.wide_requant)
                if self.wide_rule is None
                else wide.real_layer_limits(sig, 0, self.wide_rule, pads=False),
                None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1",
            )
        )

    def macs(self, sig: Signature) -> int:
        """Each input is multiplied with each position of the kernel: nothing is counted for zeros between inputs."""
        outputs, kh, kw, depth = sig.inputs[1].shape
        x = sig.input.shape
        return x[0] * x[1] * x[2] * outputs * kh * kw * depth
