"""What both kinds of convolution share: attributes, requantisation, support rule."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Whole
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic import hybrid, real, wide
from tinycompile.ops._arithmetic.wide import WideRequant, WideRule
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._spatial import Padding, Pair, SpatialOp, Window, repadded, undivided
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.linear_rule import linear_vjp
from tinycompile.ops._training.rule import Differentiable, Tape
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Convolution(SpatialOp, Typed, Differentiable):
    """Base of Conv2D and DepthwiseConv2D; operands: x in NHWC, weights, optionally bias: int8, int8, int32, or float32,
    or float32, int8, float32, of which every image is quantised by itself.

    Attributes:
        stride, dilation: (rows, columns).
        padding: (top, bottom, left, right); a padded position reads the input's zero point, or 0.
        clamp: inclusive range of the int8 output, which a fused activation narrows.
        rule: from accumulators (bias included) to outputs, one entry per output channel, in the range of `clamp`;
            None for TFLite's, which follows from the scales.
        bounds: inclusive range of a float output, which a fused activation narrows.
        wide_rule: from sums of int16 inputs, as they are, times weights to outputs: ONNX's; None for TFLite's.
    """

    weight_axis: ClassVar[int]
    """The output channels' axis of the weights."""

    wide_biases: ClassVar[tuple[DType, ...]] = (INT32, INT64)
    """Of int16 activations."""

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    clamp: Pair = (-128, 127)
    rule: Requant | None = None
    bounds: tuple[float, float] = real.UNBOUNDED
    wide_rule: RealRequant | None = field(default=None, kw_only=True)

    @abstractmethod
    def accumulate(self, window: Window, padded: Array, weights: Array) -> Array:
        """Sums of products (1, oh, ow, C_out) of a padded image minus its zero point, in its floating-point type."""

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
        return TfliteRequant(*quantize_multiplier(self._real_scale(sig)), sig.output.zero_point, *self.clamp)

    def meanings(self) -> Meanings:
        return {
            INT8: Meaning(self._integers, self._limits),
            INT16: Meaning(self._wide, self._wide_limits),
            FLOAT32: Meaning(self._float, self._float_limits),
        }

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        window, weights = self.window_of(sig), inputs[1]
        # Every partial sum is an integer of at most taps * 255 * 128, which the mantissa holds exactly.
        taps = weights.size // weights.shape[self.weight_axis]
        exact = np.float32 if taps * 255 * 128 < 2**24 else np.float64
        centred = inputs[0].astype(exact) - exact(sig.input.zero_point)
        acc = self.accumulate(window, window.pad(centred, 0), weights.astype(exact)).astype(np.int64)
        if len(inputs) > 2:
            acc += inputs[2].astype(np.int64)
        return (self.requant(sig).apply(acc).astype(np.int8),)

    def wide_requant(self, sig: Signature) -> WideRule:
        """The rule of int16 activations; TFLite's depends on the type of the bias."""
        if self.wide_rule is not None:
            return self.wide_rule
        form = "double" if sig.inputs[2].dtype == INT32 else "reduced"
        return WideRequant.of(self._real_scale(sig), self.clamp, form)

    def _real_scale(self, sig: Signature) -> Array:
        """Of an accumulator's step in steps of the output, one per channel."""
        weights = sig.inputs[1]
        if weights.quant is None:
            raise ValueError("the weights have no quantisation parameters")
        scale = sig.input.scale * weights.quant.scale.astype(np.float64) / sig.output.scale
        return np.broadcast_to(scale, (weights.shape[self.weight_axis],))

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        padded = self.window_of(sig).pad(inputs[0].astype(np.float64), 0)
        acc = self.accumulate(self.window_of(sig), padded, inputs[1].astype(np.float64)).astype(np.int64)
        return (self.wide_requant(sig).apply(acc + inputs[2] if len(inputs) > 2 else acc).astype(np.int16),)

    def _wide_limits(self, sig: Signature) -> str | None:
        if self.wide_rule is not None:
            limits = wide.real_layer_limits(sig, self.weight_axis, self.wide_rule, pads=any(self.padding))
            return limits or (None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1")
        if len(sig.inputs) < 3:
            return "it has no bias, which LiteRT demands of int16 activations"
        return first_reason(
            (
                wide.layer_limits(sig, self.weight_axis, self.wide_requant, self.wide_biases),
                None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1",
            )
        )

    def _float(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return self._hybrid(sig, inputs) if hybrid.is_hybrid(sig) else self._real(sig, inputs)

    def _float_limits(self, sig: Signature) -> str | None:
        types = hybrid.limits(sig, self.weight_axis) if hybrid.is_hybrid(sig) else real.other_types(sig)
        own = None if self.rule is None else "a requantisation of floats"
        return types or real.fused(self.clamp) or own

    def is_asymmetric(self, sig: Signature) -> bool:
        """Whether images of floats get a zero point where they meet int8 weights."""
        return True

    def is_scaled_by_channel_first(self, sig: Signature) -> bool:
        """Whether sums of such an image are multiplied by the channel's scale, then by the image's."""
        return False

    def _hybrid(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, window = inputs[0], self.window_of(sig)
        rows = hybrid.quantized(x.reshape(x.shape[0], -1), asymmetric=self.is_asymmetric(sig))
        padded = window.pad(rows.centred.reshape(x.shape).astype(np.float64), 0)
        weights = inputs[1].astype(np.float64)
        sums = np.concatenate([self.accumulate(window, image[None], weights) for image in padded])
        result = hybrid.real(
            sums,
            rows.scale[:, None, None, None],
            hybrid.weight_scales(sig, self.weight_axis),
            inputs[2] if len(inputs) > 2 else None,
            channels_first=self.is_scaled_by_channel_first(sig),
        )
        return (np.clip(result, *self.bounds).astype(np.float32),)

    def access(self, sig: Signature, operand: int) -> Access:
        """Of a window, but for an image that is quantised as a whole."""
        return Whole() if hybrid.is_hybrid(sig) else super().access(sig, operand)

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        window, weights = self.window_of(sig), inputs[1].astype(np.float64)
        padded = window.pad(inputs[0].astype(np.float64), 0)
        with np.errstate(all="ignore"):
            sums = np.concatenate([self.accumulate(window, image[None], weights) for image in padded])
            sums = sums + inputs[2] if len(inputs) > 2 else sums
            return (np.clip(sums, *self.bounds).astype(np.float32),)

    def fill(self, sig: Signature) -> float:
        quant = sig.input.quant
        return 0 if quant is None else sig.input.zero_point

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        return replace(self, padding=undivided(self.padding, sizes))

    def padded_along(self, axis: int, padding: Pair) -> Convolution:
        return replace(self, padding=repadded(self.padding, axis, padding))

    def geometry(self, x: TensorType, weights: TensorType) -> LinearGeometry:
        """What it adds up."""
        _, rows, columns, channels = x.shape
        return LinearGeometry(self.window(x, weights), (rows, columns, channels), weights.shape, self.weight_axis == 3)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        geometry = self.geometry(*tape.signature(node).inputs[:2])
        linear_vjp(tape, node, gradient, geometry, self.clamp, self.weight_axis, self.rule)

    def _limits(self, sig: Signature) -> str | None:
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
