"""Vectors along the last axis, made as long as 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import inverse_square_root, multiply_by_quantized_multiplier
from tinycompile.ops._arithmetic import real
from tinycompile.ops._elementwise import AlongChannels
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed

OUTPUT_BITS = 7
"""The output's scale is 2^-7."""

LARGEST_DEPTH = (1 << 29) // 255**2
"""The square of a vector's length must stay below 2^29."""

SHORTEST = 1e-6
"""A float vector is divided by no less."""


@dataclass(frozen=True)
class L2Normalization(AlongChannels, Typed):
    """int8 or float32, along the last axis: x / |x|. int8 output has scale 1/128 and zero point 0, and a vector of
    zeros stays one; float32 vectors are divided by at least 1e-6.
    """

    kind: ClassVar[str] = "l2_normalization"

    def meanings(self) -> Meanings:
        return {INT8: Meaning(self._integers, self._limits), FLOAT32: real.meaning(self._real)}

    def _real(self, x: Array) -> Array:
        wide = x.astype(np.float64)
        return wide / np.maximum(np.sqrt((wide**2).sum(axis=-1, keepdims=True)), SHORTEST)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """`L2Normalization` of integer_ops/l2normalization.h."""
        centred = inputs[0].astype(np.int64) - sig.input.zero_point
        multiplier, shift = inverse_square_root((centred**2).sum(axis=-1, keepdims=True))
        result = multiply_by_quantized_multiplier(centred, multiplier, shift + OUTPUT_BITS)
        return (np.clip(result, -128, 127).astype(np.int8),)

    def _limits(self, sig: Signature) -> str | None:
        depth = sig.input.shape[-1]
        reasons = (
            not_quantized(sig.input, "the input"),
            not_quantized(sig.output, "the output"),
            None if 0 < depth <= LARGEST_DEPTH else f"vectors of {depth} elements, supported are {LARGEST_DEPTH}",
        )
        return first_reason(reasons) or _wrong_output(sig)


def _wrong_output(sig: Signature) -> str | None:
    """LiteRT compares exactly."""
    y = sig.output
    if y.scale == 2.0**-OUTPUT_BITS and y.zero_point == 0:
        return None
    return f"the output has scale {y.scale} and zero point {y.zero_point}, supported is 1/128 and 0"
