"""Products of two int8 tensors whose result is a float: sums of integers, times the product of the scales.

Where nothing rounds a product, as in linear attention, whose sums are divided by others before, its operands needn't
become floats for it: the sums are exact, and a multiplication of 8 bits costs less than one of floats.
"""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.frontend.onnx_matrices import MOST_PRODUCTS
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Dequantized, Placed, Value, identity
from tinycompile.ir import TensorType
from tinycompile.ops.cast import Cast
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.ops.mul import Mul


def integer_product(scope: Scope) -> Placed | None:
    """Of a MatMul's operands, in ONNX's order; None where one of them isn't a matrix of int8, dequantised."""
    found = list[tuple[Placed, int]]()
    scale = np.float32(1)
    for operand in range(2):
        value: Value = scope.stored(operand)
        if not isinstance(value, Dequantized) or value.function is not None or value.dtype != INT8:
            return None
        if not value.quant.is_per_tensor or len(value.shape) < 2 or value.shape[-1 - operand] > MOST_PRODUCTS:
            return None
        scale *= np.float32(value.quant.scale[0])
        found.append((scope.plain(value.at), int(value.quant.zero_point[0])))
    emit, shape = scope.state.emit, scope.shape()
    zeros = list[str]()
    for _, zero in found:
        constant = np.array(zero, np.int8)
        zeros.append(scope.state.value(f"{scope.name}_zero_point", TensorType((), INT8), constant))
    sums = emit(MatMulInteger(), [*(at.name for at, _ in found), *zeros], f"{scope.name}_sums", None)
    floats = emit(Cast(FLOAT32), [sums], f"{scope.name}_floats", None)
    factor = scope.state.value(f"{scope.name}_scale", TensorType((), FLOAT32), np.array(scale, np.float32))
    return Placed(emit(Mul(), [floats, factor], scope.name, None), shape, identity(len(shape)))
