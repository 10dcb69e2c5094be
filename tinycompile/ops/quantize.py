"""Quantisation of floats, and conversion between 8-bit quantisations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8, DType
from tinycompile.ir import Array, Node, Signature, TensorType
from tinycompile.numerics.fixed_point import INT32_MIN, quantize_multiplier, wrap_int32
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.ops._elementwise import Elementwise, requantized
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, NoGradientError, Tape, passed_through


@dataclass(frozen=True)
class Quantize(Elementwise, Differentiable):
    """float32 to int8, uint8 or int16; int8 or uint8 to int8 or uint8; int16 or int8 to int16 or int8.

    A float beyond the range saturates. What a quotient outside of int32 or a NaN becomes is up to `ties`' framework:
    for TFLite INT32_MIN, to which the zero point is added modulo 2^32 (C++ leaves it undefined; LiteRT does so on
    x86-64); for ONNX the nearer end of the range, and a NaN the smallest value.

    Attributes:
        dtype: of the output.
        ties: of a float input: "away" from zero as in TFLite, or to "even" as in ONNX.
    """

    kind: ClassVar[str] = "quantize"

    dtype: DType
    ties: Literal["away", "even"] = "away"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, self.dtype),)

    @property
    def range(self) -> tuple[int, int]:
        return self.dtype.range

    def requant(self, sig: Signature) -> TfliteRequant:
        """From an integer input minus its zero point to the output; one channel."""
        real = np.array([sig.input.scale / sig.output.scale])
        return TfliteRequant(*quantize_multiplier(real), sig.output.zero_point, *self.range)

    def table(self, sig: Signature) -> Array:
        """Shape (256,), of the output's dtype: entry `(uint8_t)q` is the result for the 8-bit input q."""
        return self._convert(sig, np.arange(256, dtype=np.uint8).view(sig.input.dtype.carrier))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        convert = self._from_float if sig.input.dtype == FLOAT32 else self._convert
        return (convert(sig, inputs[0]),)

    def _convert(self, sig: Signature, x: Array) -> Array:
        return requantized(self.requant(sig), x, sig.input.zero_point).astype(self.dtype.carrier)

    def _from_float(self, sig: Signature, x: Array) -> Array:
        """`AffineQuantize`, and ONNX's QuantizeLinear: float32 division, then the nearest integer."""
        low, high = self.range
        with np.errstate(over="ignore", invalid="ignore"):
            quotient = (x / np.float32(sig.output.scale)).astype(np.float64)
        if self.ties == "even":
            rounded = np.rint(quotient) + sig.output.zero_point
            return np.minimum(np.where(rounded > low, rounded, low), high).astype(self.dtype.carrier)
        away = np.copysign(np.floor(np.abs(quotient) + 0.5), quotient)
        converted = np.where(np.abs(away) < 2.0**31, away, INT32_MIN).astype(np.int64)
        return np.clip(wrap_int32(converted + sig.output.zero_point), low, high).astype(self.dtype.carrier)

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        sig = tape.signature(node)
        if not sig.input.dtype == sig.output.dtype == INT8:
            raise NoGradientError(f"it makes {sig.output.dtype} of {sig.input.dtype}")
        tape.add(node.inputs[0], passed_through(tape, node, gradient, self.range))

    def unsupported(self, sig: Signature) -> str | None:
        to = not_quantized(sig.output, "the output", INT8, UINT8, INT16)
        if to is not None or sig.input.dtype == FLOAT32:
            return to
        source = not_quantized(sig.input, "the input", FLOAT32, INT8, UINT8, INT16)
        if {sig.input.dtype, sig.output.dtype} == {INT16, UINT8}:
            return f"it makes {sig.output.dtype} of {sig.input.dtype}, supported beside int16 is int8"
        return first_reason((source, invalid(lambda: self.requant(sig))))
