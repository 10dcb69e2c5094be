"""Leaky rectified linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import multiply_by_quantized_multiplier, quantize_multiplier
from tinycompile.ops._elementwise import RealUnary, Unary, WideUnary
from tinycompile.ops._rules import invalid


@dataclass(frozen=True)
class LeakyRelu(Unary, WideUnary, RealUnary):
    """int8, slope of at least 0; input and output may differ in scale and zero point. float32, any slope.

    Attributes:
        alpha: slope for negative inputs, a float32 value.
        runtime: whose int8 and int16 rule: LiteRT divides scales in float32 (`LeakyReluPrepare`), TFLM in float64.
    """

    kind: ClassVar[str] = "leaky_relu"

    alpha: float
    runtime: Runtime = "litert"

    def of(self, sig: Signature, x: Array) -> Array:
        """`QuantizeLeakyRelu`: one multiplier for each sign."""
        multiplier, shift = quantize_multiplier(self.multipliers(sig))
        centred = x.astype(np.int64) - sig.input.zero_point
        which = (centred < 0).astype(np.intp)
        scaled = multiply_by_quantized_multiplier(centred, multiplier[which], shift[which])
        return np.clip(scaled + sig.output.zero_point, *sig.output.dtype.range).astype(sig.output.dtype.carrier)

    def wide(self, sig: Signature, x: Array) -> Array:
        return self.of(sig, x)

    def wide_limits(self, sig: Signature) -> str | None:
        return self.limits(sig)

    def real(self, x: Array) -> Array:
        return np.where(x < 0, np.float32(self.alpha) * x, x)

    def limits(self, sig: Signature) -> str | None:
        return invalid(lambda: quantize_multiplier(self.multipliers(sig)))

    def multipliers(self, sig: Signature) -> Array:
        """Real multipliers for positive and for negative inputs."""
        number = np.float32 if self.runtime == "litert" else np.float64
        x_scale, y_scale, alpha = number(sig.input.scale), number(sig.output.scale), number(np.float32(self.alpha))
        with np.errstate(over="ignore"):
            return np.array([x_scale / y_scale, x_scale * alpha / y_scale], np.float64)
