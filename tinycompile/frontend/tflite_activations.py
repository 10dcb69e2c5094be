"""Fused activations: the range that they leave of a quantised output."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import INT8
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import TensorType

Activation = tflite.ActivationFunctionType
_ACTIVATION_NAMES = {code: name for name, code in vars(Activation).items() if isinstance(code, int)}
_REAL_RANGE: dict[int, tuple[float, float]] = {
    Activation.NONE: (-np.inf, np.inf),
    Activation.RELU: (0, np.inf),
    Activation.RELU6: (0, 6),
    Activation.RELU_N1_TO_1: (-1, 1),
}


def activation_name(activation: int) -> str:
    """As the schema calls it."""
    return _ACTIVATION_NAMES.get(activation, f"number {activation}")


def clamp_range(activation: int, y: TensorType) -> tuple[int, int]:
    """int8 range that an activation leaves of the output (`CalculateActivationRangeQuantized`)."""
    if activation not in _REAL_RANGE:
        name = activation_name(activation)
        raise Rejected(f"its option fused_activation_function is {name}, supported are RELU, RELU6 and RELU_N1_TO_1")
    if y.dtype.is_float and activation != Activation.NONE:
        raise Rejected(
            f"its option fused_activation_function is {activation_name(activation)}, for floats it isn't fused"
        )
    return quantized_range(_REAL_RANGE[activation], y)


def quantized_range(bounds: tuple[float, float], y: TensorType) -> tuple[int, int]:
    """int8 range of the outputs between two real numbers."""
    if y.quant is None or not y.quant.is_per_tensor or y.dtype != INT8:
        return -128, 127  # the operator's own rule says what is wrong with that
    low, high = (_quantized(bound, y) for bound in bounds)
    return max(-128, low), min(127, high)


def _quantized(bound: float, y: TensorType) -> int:
    """float32 division, then halves away from zero; saturates far outside of int8."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(bound) / np.float32(y.scale))
    if np.isfinite(bound) and abs(quotient) >= 2.0**31:
        raise Rejected("the output scale is too small: the activation's bounds leave int32")
    limited = min(max(quotient, -1e6), 1e6)
    return y.zero_point + int(np.copysign(np.floor(abs(limited) + 0.5), limited))
