"""QOperator models: operators with quantised operands and results."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np

from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.frontend.onnx_elementwise import known_dequantized
from tinycompile.frontend.onnx_linear import convolution, matrix_product
from tinycompile.frontend.onnx_moves import taken
from tinycompile.frontend.onnx_quantize import as_quantized, integer_bias, linear
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import Scope, per_tensor_quantization, with_quantization
from tinycompile.frontend.onnx_values import Dequantized, KnownQuantized, Linear, Placed, Quantized, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.ops.concatenation import Concatenation


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


def _finish(scope: Scope, value: Linear, x_scale: Array, w_scale: Array, first: int, bias: Array | None) -> None:
    """As the reference evaluator: acc * (x_scale * w_scale / y_scale), that factor in float32, plus the zero point, in
    float64; the sum is rounded, halves to even.
    """
    scale, zero_point = scope.constant(first, "the scale"), scope.constant(first + 1, "the zero point")
    dtype = DType.find(zero_point.dtype)
    if dtype not in (INT8, UINT8):
        raise Rejected(f"its result is {zero_point.dtype.name}, supported are int8 and uint8")
    quant = per_tensor_quantization(scale, zero_point, 128 if dtype == UINT8 else 0)
    factor = np.float32(x_scale.reshape(-1)[0]) * w_scale.astype(np.float32) / np.float32(scale.reshape(-1)[0])
    factor = np.broadcast_to(factor.reshape(-1), (len(value.product),))
    product = [Fraction(float(f)) for f in factor]
    if min(product) <= 0:
        raise Rejected("a scale underflows")
    rule = exact_requant(
        product, [Fraction(0)] * len(product), Fraction(1), int(quant.zero_point[0]), -128, 127, even_zero_point=0
    )
    if bias is not None:
        value = replace(value, bias=tuple(p * int(n) for p, n in zip(value.product, bias, strict=True)))
        if integer_bias(value) != [int(n) for n in bias]:
            raise Rejected("the bias is too large")
    scope.set(as_quantized(linear(scope, value, rule, quant), dtype))


@importer("QLinearConv")
def qlinear_conv(scope: Scope) -> None:
    x, source = _operand(scope, 0), _weights(scope, 3, 0)
    value = convolution(scope, x, source, None)
    bias = scope.constant(8, "the bias").ravel() if scope.has(8) else None
    _finish(scope, value, scope.constant(1, "the scale"), source.scale, 6, bias)


@importer("QLinearMatMul")
def qlinear_matmul(scope: Scope) -> None:
    x = _operand(scope, 0)
    if scope.constant(3, "the second operand").ndim > 2:
        _batched(scope, x)
        return
    source = _weights(scope, 3, 1)
    value = matrix_product(scope, x, source, False, None)
    _finish(scope, value, scope.constant(1, "the scale"), source.scale, 6, None)


def _batched(scope: Scope, x: Dequantized) -> None:
    """Matrix by matrix."""
    weights = scope.constant(3, "the second operand")
    if weights.ndim != 3 or x.shape[:-2] != weights.shape[:1] or scope.constant(4, "the scale").size > 1:
        raise Rejected(f"operands {list(x.shape)} and {list(weights.shape)}")
    shape, names, parts = scope.shape(), list[str](), list[Quantized]()
    for index, matrix in enumerate(weights):
        rows = replace(x, at=taken(scope, x.at, 0, [index]))
        scale, zero_point = scope.constant(4, "the scale"), scope.constant(5, "the zero point")
        source = known_dequantized(matrix, scale.reshape(()), zero_point, 1).quantized
        if source is None:
            raise Rejected("the second operand is no integer tensor")
        value = replace(matrix_product(scope, rows, source, False, None), shape=(1, *shape[1:]))
        _finish(scope, value, scope.constant(1, "the scale"), source.scale, 6, None)
        part = scope.state.values[scope.name]
        if isinstance(part, Quantized):
            names.append(scope.plain(part.at).name)
            parts.append(part)
    quant = scope.state.builder.types[names[0]].quant
    joined = scope.state.emit(Concatenation(0), names, scope.name, quant)
    scope.set(as_quantized(Placed(joined, shape, identity(len(shape))), parts[0].dtype))
