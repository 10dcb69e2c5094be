"""float32 activations times int8 weights, as dynamic-range quantised files have them: LiteRT's hybrid kernels.

While the model runs, every row of activations (in a convolution an image) becomes int8 with a scale and a zero point
of its own. Sums of products are integers; a sum times both scales, plus the bias, is the float32 result. Kernels
compute the same integers; of the float operations each is rounded once, in the order that is written here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Signature
from tinycompile.numerics.fixed_point import wrap_int32
from tinycompile.ops._rules import bad_weights, first_reason, wrong_dtype

LARGEST = 127
"""The magnitude that the largest one of a symmetric row becomes."""


def is_hybrid(sig: Signature) -> bool:
    """Whether a layer's activations are floats and its weights aren't."""
    return sig.input.dtype == FLOAT32 and sig.inputs[1].dtype != FLOAT32


def limits(sig: Signature, axis: int) -> str | None:
    """Why a layer can't be computed so; `axis` of the weights has the output channels."""
    return first_reason(
        (
            bad_weights(sig.inputs[1], axis),
            wrong_dtype(sig.output, "the output", FLOAT32),
            wrong_dtype(sig.inputs[2], "the bias", FLOAT32) if len(sig.inputs) > 2 else None,
        )
    )


def weight_scales(sig: Signature, axis: int) -> Array:
    """float32, one per output channel."""
    weights = sig.inputs[1]
    if weights.quant is None:
        raise ValueError("the weights have no quantisation parameters")
    return np.broadcast_to(weights.quant.scale.astype(np.float32), (weights.shape[axis],))


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of activations as integers.

    Attributes:
        centred: int64 (rows, n), minus the row's zero point: in [-255, 255].
        scale: float32 (rows,).
    """

    centred: Array
    scale: Array


def quantized(x: Array, *, asymmetric: bool) -> Rows:
    """float32 (rows, n) as integers: from -127 to 127, or from -128 to 127 with a zero point."""
    with np.errstate(all="ignore"):
        return _asymmetric(x) if asymmetric else _symmetric(x)


def _symmetric(x: Array) -> Rows:
    """`SymmetricQuantizeFloats`."""
    largest = np.abs(x).max(axis=1, initial=np.float32(0))
    empty = largest == 0
    scale = np.where(empty, np.float32(1), largest / np.float32(LARGEST))
    inverse = np.where(empty, np.float32(0), np.float32(LARGEST) / largest)
    return Rows(np.clip(_rounded(x * inverse[:, None]), -128, 127), scale)


def _asymmetric(x: Array) -> Rows:
    """`AsymmetricQuantizeFloats`, in its vectorised form, which is what runs: the zero point is added to the rounded
    number. The portable form rounds their sum in float32.
    """
    low, high = x.min(axis=1, initial=np.float32(0)), x.max(axis=1, initial=np.float32(0))
    empty = low == high
    step = (high - low).astype(np.float64) / 255
    from_low: Array = -low.astype(np.float64) / step
    from_high: Array = high.astype(np.float64) / step
    exact = np.where(128 + from_low < 127 + from_high, from_low - 128, 127 - from_high)
    zero_point = np.where(empty, 0, np.clip(_rounded(exact), -128, 127))[:, None]
    scale = np.where(empty, np.float32(1), step.astype(np.float32))
    inverse = np.where(empty | (scale == 0), np.float32(0), np.float32(1) / scale)
    values = np.clip(wrap_int32(_rounded(x * inverse[:, None]) + zero_point), -128, 127)
    return Rows(values - zero_point, scale)


def _rounded(x: Array) -> Array:
    """int64, halves away from zero; what no int32 is near becomes the least one, as on x86-64."""
    wide = x.astype(np.float64)
    rounded = np.trunc(wide + np.copysign(0.5, wide))
    return np.where(np.abs(rounded) < 2.0**31, rounded, -(2.0**31)).astype(np.int64)


def real(sums: Array, rows: Array, channels: Array, bias: Array | None, *, channels_first: bool = False) -> Array:
    """Sums of products, shape (..., C), as float32: (sum * (row * channel)) + bias.

    Args:
        sums: whole numbers; those beyond int32 wrap.
        rows: scales of the activations, of a shape that broadcasts with the sums.
        channels: scales of the weights (C,). bias: float32 (C,).
        channels_first: the product is ((sum * channel) * row).
    """
    wide = wrap_int32(sums.astype(np.int64)).astype(np.float32)
    with np.errstate(all="ignore"):
        product = wide * channels * rows if channels_first else wide * (rows * channels)
        return product if bias is None else product + bias
