"""QOperator models: operators with quantised operands and results."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.frontend.onnx_elementwise import known_dequantized
from tinycompile.frontend.onnx_linear import convolution, matrix_product
from tinycompile.frontend.onnx_matrices import product_of
from tinycompile.frontend.onnx_quantize import as_quantized, integer_bias, linear, product
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope, per_tensor_quantization, with_quantization
from tinycompile.frontend.onnx_values import Dequantized, Known, KnownQuantized, Linear, Quantized, shift_of
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.numerics.step_requant import StepRequant, exact_requant


def _operand(scope: Scope, first: int) -> Dequantized:
    """Tensor, scale and zero point, at operands first, first + 1, first + 2."""
    value = scope.value(first)
    if not isinstance(value, Quantized):
        raise Rejected("its operand is no integer tensor that is computed at run time")
    scale, zero_point = scope.constant(first + 1, "the scale"), scope.constant(first + 2, "the zero point")
    quant = per_tensor_quantization(scale, zero_point, value.shift)
    return Dequantized(with_quantization(scope, value.at, quant), quant)


def _weights(scope: Scope, first: int, axis: int) -> KnownQuantized:
    weights = scope.constant(first, "the weight tensor")
    scale, zero_point = scope.constant(first + 1, "the scale"), scope.constant(first + 2, "the zero point")
    known = known_dequantized(weights, scale.ravel() if scale.size > 1 else scale.reshape(()), zero_point, axis)
    if known.quantized is None or DType.find(weights.dtype) not in (INT8, UINT8):
        raise Rejected(f"the weights are {weights.dtype.name}, supported are int8 and uint8")
    return known.quantized


@dataclass(frozen=True, eq=False)
class _Result:
    """Scale and zero point of a result, which is int8 or uint8.

    Attributes:
        quant: as int8.
    """

    scale: np.float32
    quant: Quantization
    dtype: DType

    @staticmethod
    def of(scope: Scope, first: int) -> _Result:
        """Operands `first` and the one behind it. Raises Rejected."""
        scale, zero_point = scope.constant(first, "the scale"), scope.constant(first + 1, "the zero point")
        dtype = DType.find(zero_point.dtype)
        if dtype not in (INT8, UINT8):
            raise Rejected(f"its result is {zero_point.dtype.name}, supported are int8 and uint8")
        quant = per_tensor_quantization(scale, zero_point, shift_of(dtype))
        return _Result(np.float32(scale.reshape(-1)[0]), quant, dtype)

    def rule(self, x_scale: Array, w_scale: Array, channels: int) -> StepRequant:
        """As the reference evaluator: acc * (x_scale * w_scale / y_scale), that factor in float32, plus the zero point,
        in float64; the sum is rounded, halves to even.
        """
        factor = np.float32(x_scale.reshape(-1)[0]) * w_scale.astype(np.float32) / self.scale
        product = [Fraction(float(f)) for f in np.broadcast_to(factor.reshape(-1), (channels,))]
        if min(product) <= 0:
            raise Rejected("a scale underflows")
        zero_point = int(self.quant.zero_point[0])
        return exact_requant(product, [Fraction(0)] * channels, Fraction(1), zero_point, -128, 127, even_zero_point=0)


def _finish(scope: Scope, value: Linear, x_scale: Array, w_scale: Array, bias: Array | None) -> None:
    """The layer, whose result's scale is operand 6."""
    result = _Result.of(scope, 6)
    rule = result.rule(x_scale, w_scale, len(value.product))
    if bias is not None:
        value = replace(value, bias=tuple(p * int(n) for p, n in zip(value.product, bias, strict=True)))
        if integer_bias(value) != [int(n) for n in bias]:
            raise Rejected("the bias is too large")
    scope.set(as_quantized(linear(scope, value, rule, result.quant), result.dtype))


@importer("QLinearConv")
def qlinear_conv(scope: Scope) -> None:
    x, source = _operand(scope, 0), _weights(scope, 3, 0)
    value = convolution(scope, x, source, None)
    bias = scope.constant(8, "the bias").ravel() if scope.has(8) else None
    _finish(scope, value, scope.constant(1, "the scale"), source.scale, bias)


@importer("QLinearMatMul")
def qlinear_matmul(scope: Scope) -> None:
    second = scope.value(3)
    if isinstance(second, Known) and second.array.ndim == 2:
        x, source = _operand(scope, 0), _weights(scope, 3, 1)
        value = matrix_product(scope, x, source, False, None)
        _finish(scope, value, scope.constant(1, "the scale"), source.scale, None)
        return
    value = product_of(scope, _factor(scope, 0), _factor(scope, 3))
    result = _Result.of(scope, 6)
    rule = result.rule(scope.constant(1, "the scale"), scope.constant(4, "the scale"), 1)
    scope.set(as_quantized(product(scope, value, rule, result.quant), result.dtype))


def _factor(scope: Scope, first: int) -> Dequantized | Known:
    """A computed or constant operand of a product, with one scale. Raises Rejected."""
    if not isinstance(scope.value(first), Known):
        return _operand(scope, first)
    source = _weights(scope, first, -1)
    if source.axis is not None:
        raise Rejected("a product of several matrices has a scale for each column, supported is one")
    return Known(source.values, source)
