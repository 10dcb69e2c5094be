"""Fully connected layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.choices import Runtime
from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, DType
from tinycompile.ir import Array, Node, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._arithmetic import hybrid, real, wide
from tinycompile.ops._arithmetic.wide import WideRequant, WideRule
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype
from tinycompile.ops._spatial import Window
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.linear_geometry import LinearGeometry
from tinycompile.ops._training.linear_rule import linear_vjp
from tinycompile.ops._training.rule import Differentiable, Tape
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class FullyConnected(Typed, Differentiable):
    """int8 input and weights, int32 bias or none; one scale for all weights, then with any zero point, or one per
    output; fused RELU, RELU6 and RELU_N1_TO_1. Or float32. Or a float32 input and int8 weights: each row of the input
    is quantised while the model runs.

    Operands: x (..., C_in), weights (C_out, C_in), optionally bias (C_out,). Result: (..., C_out). Weights minus a zero
    point may be int16, within [-255, 255].

    Attributes:
        clamp: inclusive range of the int8 output, which a fused activation narrows.
        rule: from accumulators (bias included) to outputs, one entry per output, in the range of `clamp`; None for
            TFLite's, which follows from the scales.
        bounds: inclusive range of a float output, which a fused activation narrows.
        asymmetric: whether rows of floats get a zero point where they meet int8 weights.
        wide_rule: from sums of int16 inputs, as they are, times weights to outputs: ONNX's; None for TFLite's.
        runtime: whose TFLite rule: LiteRT rounds the product once, TFLM as convolutions do.
    """

    kind: ClassVar[str] = "fully_connected"

    clamp: tuple[int, int] = (-128, 127)
    rule: Requant | None = None
    bounds: tuple[float, float] = real.UNBOUNDED
    asymmetric: bool = False
    runtime: Runtime = "litert"
    wide_rule: RealRequant | None = None

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, w = inputs[0], inputs[1]
        if len(w.shape) != 2 or not x.shape or x.shape[-1] != w.shape[1]:
            raise ValueError(f"weights {w} don't fit the input {x}")
        if len(inputs) > 2 and inputs[2].shape != (w.shape[0],):
            raise ValueError(f"the bias has shape {inputs[2].shape}, the weights have {w.shape[0]} outputs")
        return (((*x.shape[:-1], w.shape[0]), x.dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if operand == 0 else Whole()

    def requant(self, sig: Signature) -> Requant:
        """The rule from accumulators (bias included) to outputs, one entry per output.

        LiteRT 2.3 computes this operator, and no other, with a float64 factor; found by comparison with it.
        """
        if self.rule is not None:
            return self.rule
        if self.runtime == "tflm":
            return TfliteRequant(*quantize_multiplier(self._real_scale(sig)), sig.output.zero_point, *self.clamp)
        return RoundedProductRequant(self._real_scale(sig), sig.output.zero_point, *self.clamp)

    def wide_requant(self, sig: Signature) -> WideRule:
        """The rule of int16 activations; LiteRT's doesn't depend on the bias, TFLM's does."""
        if self.wide_rule is not None:
            return self.wide_rule
        narrow = len(sig.inputs) > 2 and sig.inputs[2].dtype == INT32
        form = "single" if self.runtime == "litert" else "double" if narrow else "reduced"
        return WideRequant.of(self._real_scale(sig), self.clamp, form)

    def _real_scale(self, sig: Signature) -> Array:
        """Of an accumulator's step in steps of the output, one per channel."""
        weights = sig.inputs[1].quant
        if weights is None:
            raise ValueError("the weights have no quantisation parameters")
        scale = sig.input.scale * weights.scale.astype(np.float64) / sig.output.scale
        return np.broadcast_to(scale, (sig.inputs[1].shape[0],))

    def meanings(self) -> Meanings:
        return {
            INT8: Meaning(self._integers, self._limits),
            INT16: Meaning(self._wide, self._wide_limits),
            FLOAT32: Meaning(self._float, self._float_limits),
        }

    def _float(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            result = (self._hybrid if hybrid.is_hybrid(sig) else self._real)(sig, inputs)
            return (np.clip(result, *self.bounds).astype(np.float32),)

    def _float_limits(self, sig: Signature) -> str | None:
        types = hybrid.limits(sig, 0) if hybrid.is_hybrid(sig) else real.other_types(sig)
        return types or real.fused(self.clamp) or (None if self.rule is None else "a requantisation of floats")

    def _real(self, sig: Signature, inputs: Sequence[Array]) -> Array:
        sums = inputs[0].astype(np.float64) @ inputs[1].T.astype(np.float64)
        return sums + inputs[2] if len(inputs) > 2 else sums

    def _hybrid(self, sig: Signature, inputs: Sequence[Array]) -> Array:
        rows = hybrid.quantized(inputs[0].reshape(-1, sig.input.shape[-1]), asymmetric=self.asymmetric)
        sums = rows.centred.astype(np.float64) @ inputs[1].T.astype(np.float64)
        bias = inputs[2] if len(inputs) > 2 else None
        return hybrid.real(sums, rows.scale[:, None], hybrid.weight_scales(sig, 0), bias).reshape(sig.output.shape)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        centred = inputs[0].astype(np.float64) - sig.input.zero_point
        acc = (centred @ inputs[1].T.astype(np.float64)).astype(np.int64)
        if len(inputs) > 2:
            acc = acc + inputs[2]
        return (self.requant(sig).apply(acc).astype(np.int8),)

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        acc = (inputs[0].astype(np.float64) @ inputs[1].T.astype(np.float64)).astype(np.int64)
        return (self.wide_requant(sig).apply(acc + inputs[2] if len(inputs) > 2 else acc).astype(np.int16),)

    def _wide_limits(self, sig: Signature) -> str | None:
        if self.wide_rule is not None:
            return wide.real_layer_limits(sig, 0, self.wide_rule, pads=False)
        return wide.layer_limits(sig, 0, self.wide_requant)

    def _limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                bad_weights(sig.inputs[1], 0, INT8, INT16),
                invalid(lambda: self.requant(sig)),
                wrong_dtype(sig.inputs[2], "the bias", INT32) if len(sig.inputs) > 2 else None,
            )
        )

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.inputs[1].shape[1]

    def geometry(self, x: TensorType, weights: TensorType) -> LinearGeometry:
        """What it adds up, as a convolution of one position."""
        window, depth = Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0)), x.shape[-1]
        return LinearGeometry(window, (x.elements // depth, 1, depth), weights.shape)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        geometry = self.geometry(*tape.signature(node).inputs[:2])
        linear_vjp(tape, node, gradient, geometry, self.clamp, 0, self.rule)
