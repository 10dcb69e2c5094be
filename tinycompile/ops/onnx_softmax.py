"""Softmax as ONNX means it: the real function of the dequantised input, quantised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import Elementwise
from tinycompile.ops._rules import first_reason, not_quantized

EXPONENT_BITS = 30
"""exp(0) is 2^30."""
_FACTOR_BITS = 30
MAX_DEPTH = 1 << 12


@dataclass(frozen=True)
class OnnxSoftmax(Elementwise):
    """int8, over the last axis of at most 4096 elements; input and output of any scale and zero point.

    With E(d) = round(2^30 exp(-d * scale)) for the distance d to the largest input and S the sum of E, the output is
    round(E / S / output scale), halves upwards. It differs from the real number's rounding only where that is
    within 10^-6 of a tie.
    """

    kind: ClassVar[str] = "onnx_softmax"

    def exponentials(self, sig: Signature) -> Array:
        """int32 (256,): E(d), and nothing behind the last one that isn't 0."""
        return np.rint(2.0**EXPONENT_BITS * np.exp(-np.arange(256) * sig.input.scale)).astype(np.int32)

    def factor(self, sig: Signature) -> tuple[int, int, int]:
        """(factor, kept, drop): 1 / output scale ~ factor * 2^-(kept + drop).

        Products with the factor are shifted by `drop`, the sum is multiplied by 2^kept.
        """
        real = 1.0 / sig.output.scale
        _, exponent = np.frexp(real)
        shift = int(np.clip(_FACTOR_BITS - exponent, 0, 40))
        kept = min(shift, 20)
        return min(round(real * 2.0**shift), 2**31 - 1), kept, shift - kept

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].astype(np.int64)
        distance = x.max(axis=-1, keepdims=True) - x
        exponential = self.exponentials(sig).astype(np.uint64)[distance]
        factor, kept, drop = (np.uint64(number) for number in self.factor(sig))
        total = exponential.sum(axis=-1, keepdims=True) << kept
        rounded = (((exponential * factor) >> drop) + (total >> np.uint64(1))) // total
        outputs = np.minimum(rounded, np.uint64(1 << 20)).astype(np.int64) + sig.output.zero_point
        return (np.clip(outputs, -128, 127).astype(np.int8),)

    def unsupported(self, sig: Signature) -> str | None:
        depth = sig.input.shape[-1] if sig.input.shape else 0
        fits = 0 < depth <= MAX_DEPTH
        return first_reason(
            (
                not_quantized(sig.input, "the input"),
                not_quantized(sig.output, "the output"),
                None if fits else f"the last axis has {depth} elements, supported is {MAX_DEPTH}",
            )
        )
