"""Fused activations: the range that they leave of an output, in its steps or as a node of floats."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16
from tinycompile.frontend.tflite_batches import emit_images
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import Op, TensorType
from tinycompile.ops._arithmetic.real import UNBOUNDED, UNCLAMPED
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.relu import Relu

Activation = tflite.ActivationFunctionType
_ACTIVATION_NAMES = {code: name for name, code in vars(Activation).items() if isinstance(code, int)}
REAL_RANGE: dict[int, tuple[float, float]] = {
    Activation.NONE: (-np.inf, np.inf),
    Activation.RELU: (0, np.inf),
    Activation.RELU6: (0, 6),
    Activation.RELU_N1_TO_1: (-1, 1),
}


def real_range(activation: int) -> tuple[float, float]:
    """What an activation leaves of a real output."""
    if activation not in REAL_RANGE:
        raise Rejected(
            f"its option fused_activation_function is {_name(activation)}, supported are RELU, RELU6 and RELU_N1_TO_1"
        )
    return REAL_RANGE[activation]


def _name(activation: int) -> str:
    return _ACTIVATION_NAMES.get(activation, f"number {activation}")


def clamp_range(activation: int, y: TensorType) -> tuple[int, int]:
    """int8 or int16 range that an activation leaves of the output (`CalculateActivationRangeQuantized`)."""
    bounds = real_range(activation)
    if y.quant is None and not y.dtype.is_float and bounds != UNBOUNDED:
        raise Rejected(f"its option fused_activation_function is {_name(activation)}, supported for {y.dtype} is NONE")
    return quantized_range(bounds, y)


def fused_range(scope: Scope) -> tuple[int, int]:
    """What the operator's fused activation leaves of its output: `clamp_range`."""
    return clamp_range(scope.options.integer("FusedActivationFunction"), scope.output_type())


def quantized_range(bounds: tuple[float, float], y: TensorType) -> tuple[int, int]:
    """int8 or int16 range of the outputs between two real numbers."""
    low_end, high_end = y.dtype.range if y.dtype in (INT8, INT16) else UNCLAMPED
    if y.quant is None or not y.quant.is_per_tensor or y.dtype not in (INT8, INT16):
        return low_end, high_end  # the operator's own rule says what is wrong with that
    low, high = (_quantized(bound, y) for bound in bounds)
    return max(low_end, low), min(high_end, high)


def _quantized(bound: float, y: TensorType) -> int:
    """float32 division, then halves away from zero; saturates far outside of int8."""
    with np.errstate(over="ignore"):
        quotient = float(np.float32(bound) / np.float32(y.scale))
    if np.isfinite(bound) and abs(quotient) >= 2.0**31:
        raise Rejected("the output scale is too small: the activation's bounds leave int32")
    limited = min(max(quotient, -1e6), 1e6)
    return y.zero_point + int(np.copysign(np.floor(abs(limited) + 0.5), limited))


def bounds_of(scope: Scope) -> tuple[float, float]:
    """What the fused activation leaves of a float output."""
    bounds = real_range(scope.options.integer("FusedActivationFunction"))
    return bounds if scope.output_type().dtype == FLOAT32 else UNBOUNDED


def emit_activated(scope: Scope, op: Op, inputs: Sequence[str], *, each_image: bool = False) -> None:
    """Add a node, and behind it one for the fused activation where the result is float.

    Args:
        each_image: an operator of images, which is a node for each where it computes integers.
    """
    bounds = bounds_of(scope)
    if bounds == UNBOUNDED:
        return emit_images(scope, op, inputs) if each_image else scope.emit(op, inputs)
    unbounded = scope.temporary("unbounded", scope.output_type())
    scope.emit(op, inputs, unbounded)
    return scope.emit(bounded(bounds), [unbounded])


def bounded(bounds: tuple[float, float]) -> Op:
    """A limit of floats."""
    return Relu() if bounds == REAL_RANGE[Activation.RELU] else ElementwiseFunction("clip", *bounds)
