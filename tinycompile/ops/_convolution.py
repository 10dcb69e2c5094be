"""What both kinds of convolution share: attributes, requantisation, support rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._spatial import Padding, Pair, SpatialOp, Window, undivided


@dataclass(frozen=True)
class Convolution(SpatialOp):
    """Base of Conv2D and DepthwiseConv2D; operands: x NHWC int8, weights int8, optionally bias int32.

    Attributes:
        stride, dilation: (rows, columns).
        padding: (top, bottom, left, right); a padded position reads the input's zero point.
        clamp: inclusive range of the int8 output, which a fused activation narrows.
        rule: from accumulators (bias included) to outputs, one entry per output channel, in the range of `clamp`;
            None for TFLite's, which follows from the scales.
    """

    weight_axis: ClassVar[int]
    """The output channels' axis of the weights."""

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    clamp: Pair = (-128, 127)
    rule: Requant | None = None

    @abstractmethod
    def accumulate(self, window: Window, padded: Array, weights: Array) -> Array:
        """Sums of products (1, oh, ow, C_out), exact, of the padded input minus its zero point (int32)."""

    def window(self, x: TensorType, weights: TensorType | None) -> Window:
        if weights is None:
            raise ValueError("a convolution needs weights")
        _, kh, kw, _ = weights.shape
        return Window((kh, kw), self.stride, self.dilation, self.padding)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, w = inputs[0], inputs[1]
        if len(x.shape) != 4 or len(w.shape) != 4:
            raise ValueError(f"a convolution needs a 4-D input and 4-D weights, got {x} and {w}")
        channels = w.shape[self.weight_axis]
        if len(inputs) > 2 and inputs[2].shape != (channels,):
            raise ValueError(f"the bias has shape {inputs[2].shape}, the weights have {channels} output channels")
        height, width = self.window(x, w).output_size(x.shape[1], x.shape[2])
        return (((x.shape[0], height, width, channels), x.dtype),)

    def requant(self, sig: Signature) -> Requant:
        """The rule from accumulators (bias included) to outputs (`PopulateConvolutionQuantizationParams`)."""
        if self.rule is not None:
            return self.rule
        weights = sig.inputs[1]
        if weights.quant is None:
            raise ValueError("the weights have no quantisation parameters")
        real = sig.input.scale * weights.quant.scale.astype(np.float64) / sig.output.scale
        real = np.broadcast_to(real, (weights.shape[self.weight_axis],))
        return TfliteRequant(*quantize_multiplier(real), sig.output.zero_point, *self.clamp)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        window = self.window_of(sig)
        centred = inputs[0].astype(np.int32) - np.int32(sig.input.zero_point)
        acc = self.accumulate(window, window.pad(centred, 0), inputs[1])
        if len(inputs) > 2:
            acc = acc + inputs[2].astype(np.int64)
        return (self.requant(sig).apply(acc).astype(np.int8),)

    def fill(self, sig: Signature) -> float:
        quant = sig.input.quant
        return 0 if quant is None else sig.input.zero_point

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        return replace(self, padding=undivided(self.padding, sizes))

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                bad_weights(sig.inputs[1], self.weight_axis),
                invalid(lambda: self.requant(sig)),
                wrong_dtype(sig.inputs[2], "the bias", INT32) if len(sig.inputs) > 2 else None,
                None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1",
            )
        )
