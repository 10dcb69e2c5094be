"""Float activations and constants of integers in operators that aren't layers: tables of rows, products of matrices."""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.frontend.tflite_scope import Rejected, Scope, unpacked
from tinycompile.ir import Quantization, TensorType
from tinycompile.ops._rules import first_reason
from tinycompile.ops.cast import Cast
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.gather import Gather
from tinycompile.ops.mul import Mul


def refuse_tflm(scope: Scope, x: TensorType, weights: TensorType) -> None:
    """A layer of floats and integers where TFLM's bytes are wanted, which has no kernel for it. Raises Rejected."""
    if scope.runtime == "tflm" and x.dtype == FLOAT32 and weights.dtype != FLOAT32:
        raise Rejected(f"its input is {x.dtype} and its weights are {weights.dtype}, for which TFLM has no kernel")


def dequantized_rows(scope: Scope, table: int, indices: int) -> None:
    """Rows of a table of integers as floats: only those that are looked up are dequantised.

    Args:
        table, indices: which operands they are; the table has one scale or one per row, and zero points 0.

    Raises:
        Rejected: another quantisation.
    """
    t, wanted, y = scope.input_type(table), scope.input_type(indices), scope.output_type()
    reason = _bad_table(t)
    if reason is not None:
        raise Rejected(reason)
    scope.constant(table, "the table")
    raw, where = unpacked(scope, table), scope.input(indices)
    rows = scope.temporary("rows", TensorType(y.shape, INT8, None))
    scope.emit(Gather(0), [raw, where], rows)
    numbers = scope.temporary("numbers", TensorType(y.shape, FLOAT32))
    scope.emit(Cast(FLOAT32), [rows], numbers)
    scales = np.array([1.0]) if t.quant is None else t.quant.scale
    ones = (1,) * (len(t.shape) - 1)
    scale = scales.astype(np.float32).reshape(scales.size, *ones)
    factor = scope.derived("scales", TensorType(scale.shape, FLOAT32), scale)
    if scales.size > 1:
        of_table, factor = factor, scope.temporary("scale", TensorType((*wanted.shape, *ones), FLOAT32))
        scope.emit(Gather(0), [of_table, where], factor)
    scope.emit(Mul(), [numbers, factor])


def _bad_table(t: TensorType) -> str | None:
    if t.quant is None:
        return f"the table is {t.dtype} without quantisation parameters"
    axis = None if t.quant.is_per_tensor else t.quant.axis
    return first_reason(
        (
            "the table has zero points other than 0" if t.quant.zero_point.any() else None,
            None if axis in (None, 0) else f"the table is quantised along axis {axis}, supported is the rows' (0)",
        )
    )


def batch_matmul(scope: Scope) -> None:
    """Rows of floats times one constant matrix of int8: a FULLY_CONNECTED, as whose every row they are quantised.

    Raises:
        Rejected: several matrices, or a transposed first operand.
    """
    options = scope.options
    x, matrix = scope.input_type(0), scope.input_type(1)
    refuse_tflm(scope, x, matrix)
    values = scope.constant(1, "the matrix of integers that floats are multiplied with")
    if options.flag("AdjX") or prod(matrix.shape[:-2]) != 1 or len(matrix.shape) > len(x.shape):
        raise Rejected(f"{x} times integers {matrix}, supported is one matrix, and the first operand as it is")
    columns = len(matrix.shape) - (2 if options.flag("AdjY") else 1)
    weights = values.reshape(matrix.shape[-2:])
    weights = np.ascontiguousarray(weights if options.flag("AdjY") else weights.T)
    quant = matrix.quant
    if quant is not None and not quant.is_per_tensor:
        if quant.axis != columns:
            raise Rejected(f"the matrix is quantised along axis {quant.axis}, supported are its columns ({columns})")
        quant = Quantization(quant.scale, quant.zero_point, 0)
    scope.input(1)
    name = scope.derived("weights", TensorType(weights.shape, INT8, quant), weights)
    scope.emit(FullyConnected(asymmetric=options.flag("AsymmetricQuantizeInputs")), [scope.input(0), name])
