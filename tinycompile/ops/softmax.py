"""Softmax over the last axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import FLOAT32, INT8, INT16
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.ops._arithmetic import onnx, real, tflite, wide
from tinycompile.ops._arithmetic.onnx import SoftmaxForm, WideSoftmaxForm
from tinycompile.ops._arithmetic.tflite import SoftmaxParameters
from tinycompile.ops._elementwise import AlongChannels, Framework
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Softmax(AlongChannels, Typed):
    """int8 or float32, over the last axis. int8 by TFLite's rule: at most 4095 elements; the output has scale 1/256
    (within a thousandth) and zero point -128. By ONNX's, int16 too: at most 4096 elements, any output.

    Attributes:
        beta: factor of the input.
        rule: whose arithmetic int8 and int16 operands have.
        runtime: whose table of reciprocals int16 operands of TFLite's rule have: LiteRT's or TFLM's.
    """

    kind: ClassVar[str] = "softmax"

    beta: float = 1.0
    rule: Framework = "tflite"
    runtime: Runtime = "litert"

    def parameters(self, sig: Signature) -> SoftmaxParameters:
        """Of TFLite's rule."""
        return SoftmaxParameters.of(self.beta, sig.input.scale)

    def form(self, sig: Signature) -> SoftmaxForm:
        """Of ONNX's rule."""
        return SoftmaxForm.of(self.beta, sig)

    def meanings(self) -> Meanings:
        by_rule = {"tflite": Meaning(self._tflite, self._tflite_limits), "onnx": Meaning(self._onnx, self._onnx_limits)}
        wide = {
            "tflite": Meaning(self._wide, self._wide_limits),
            "onnx": Meaning(self._wide_onnx, self._wide_onnx_limits),
        }
        return {INT8: by_rule[self.rule], INT16: wide[self.rule], FLOAT32: real.meaning(self._real)}

    def _real(self, x: Array) -> Array:
        wide = self.beta * x.astype(np.float64)
        powers = np.exp(wide - wide.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def _tflite(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (tflite.softmax(self.parameters(sig), inputs[0]),)

    def wide_factor(self, sig: Signature) -> tuple[int, int]:
        """(multiplier, shift) of int16 distances, which become [-65535, 0] for [-10, 0]."""
        multiplier, shift = quantize_multiplier(np.array([sig.input.scale * self.beta / (10.0 / 65535.0)]))
        return int(multiplier[0]), int(shift[0])

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (wide.softmax(self.wide_factor(sig), inputs[0], self.runtime),)

    def _wide_limits(self, sig: Signature) -> str | None:
        y = sig.output
        reasons = (wide.asymmetric(sig.input, "the input"), wide.asymmetric(y, "the output"))
        if (reason := first_reason(reasons) or _too_deep(sig, wide.MAX_DEPTH)) is not None:
            return reason
        if abs(np.float32(y.scale) - np.float32(1 / 32768)) > np.float32(0.001) / np.float32(32768):
            return f"the output has scale {y.scale}, supported is 1/32768"
        return invalid(lambda: self.wide_factor(sig))

    def _onnx(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (onnx.softmax(self.form(sig), sig.output.zero_point, inputs[0]),)

    def wide_form(self, sig: Signature) -> WideSoftmaxForm:
        """Of ONNX's rule and int16."""
        return WideSoftmaxForm.of(self.beta, sig)

    def _wide_onnx(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (onnx.wide_softmax(self.wide_form(sig), sig.output.zero_point, inputs[0]),)

    def _wide_onnx_limits(self, sig: Signature) -> str | None:
        names = (not_quantized(sig.input, "the input", INT16), not_quantized(sig.output, "the output", INT16))
        reason = first_reason(names) or _too_deep(sig, onnx.MAX_DEPTH)
        if reason is None and not onnx.LEAST_SCALE <= sig.output.scale <= 1:
            return f"the output has scale {sig.output.scale}, supported are 2^-24 to 1"
        return reason

    def _tflite_limits(self, sig: Signature) -> str | None:
        reason = _types(sig) or _too_deep(sig, tflite.MAX_DEPTH)
        return reason or _wrong_output(sig) or invalid(lambda: self.parameters(sig))

    def _onnx_limits(self, sig: Signature) -> str | None:
        return _types(sig) or _too_deep(sig, onnx.MAX_DEPTH)


def _types(sig: Signature) -> str | None:
    return first_reason((not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output")))


def _too_deep(sig: Signature, most: int) -> str | None:
    depth = sig.input.shape[-1]
    return None if 0 < depth <= most else f"the last axis has {depth} elements, supported is {most}"


def _wrong_output(sig: Signature) -> str | None:
    """`SoftmaxPrepare` compares in float32, and computes with 1/256 all the same."""
    y = sig.output
    difference = abs(np.float32(y.scale) - np.float32(1 / 256))
    if difference > np.float32(0.001) / np.float32(256) or y.zero_point != -128:
        return f"the output has scale {y.scale} and zero point {y.zero_point}, supported is 1/256 and -128"
    return None
