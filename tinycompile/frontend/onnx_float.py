"""ONNX operators in float32: whole float models, and what can't run in 8 bits in quantised ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8, UINT16, DType
from tinycompile.frontend.onnx_discrete import constant, discrete, is_discrete, real
from tinycompile.frontend.onnx_elementwise import (
    dequantized_type,
    quantize_parameters,
    quantized_with,
)
from tinycompile.frontend.onnx_few_bits import integer_operand, is_of_few_bits, within_range
from tinycompile.frontend.onnx_parameters import check_sizes, of_elements, positive_axis
from tinycompile.frontend.onnx_quantize import as_quantized
from tinycompile.frontend.onnx_registry import IMPORTERS, Importer
from tinycompile.frontend.onnx_scope import Scope, State, arranged, per_tensor_quantization, with_quantization
from tinycompile.frontend.onnx_values import (
    Dequantized,
    Discrete,
    Known,
    Missing,
    Placed,
    Quantized,
    Real,
    shift_of,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization
from tinycompile.ops.add import Add
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.sub import Sub

FLOAT_IMPORTERS: dict[str, Importer] = {}
_MOVES = (
    "Identity Dropout Cast Transpose Reshape Flatten Squeeze Unsqueeze Split Slice Gather DepthToSpace SpaceToDepth "
    "Pad ArgMax ArgMin CumProd CumSum Expand GatherElements GatherND OneHot ReverseSequence ScatterElements ScatterND "
    "Tile TopK Where"
).split()
"""Their importers take floats as well."""


def float_importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: compute these operators with this function in float32."""

    def register(function: Importer) -> Importer:
        for name in names:
            FLOAT_IMPORTERS[name] = function
        return function

    return register


def runs_in_float(kind: str) -> bool:
    """Whether an operator can be computed in float32."""
    return kind in FLOAT_IMPORTERS or kind in _MOVES


def import_float(state: State, node: Any, reason: str) -> None:
    """Read a node in float32; `reason` says why it isn't read in 8 bits. Raises Rejected."""
    why = f"{state.label(node)}, which reads it, runs in float32"
    scope = Scope(state, node, lambda name: as_float(state, name, why))
    kind = scope.kind
    if kind in FLOAT_IMPORTERS:
        FLOAT_IMPORTERS[kind](scope)
    elif runs_in_float(kind):
        IMPORTERS[kind](scope)
    else:
        raise Rejected("this operator is not supported")
    scope.check_read(state.wanted)
    state.islands[node.output[0]] = reason


def as_float(state: State, name: str, reason: str) -> Real | Known | Discrete:
    """A value as a float tensor of the IR; nodes whose results were never rounded are computed in float32, and
    `reason` says why. Truth values and integers are what they are.
    """
    if name in state.floats:
        return state.floats[name]
    value = state.computable(name)
    match value:
        case Real() | Known() | Discrete():
            return value
        case Dequantized() if is_discrete(value):
            return discrete(Scope(state, state.producers[name]), value)
        case Dequantized(function=None):
            at = value.at
            result = state.emit(Dequantize(), [at.name], f"{name}_float", None)
            real = Real(replace(at, name=result))
        case Quantized() | Missing():
            raise Rejected("an operand is no float tensor")
        case _:
            import_float(state, state.producers[name], reason)
            found = state.values[name]
            if not isinstance(found, Real):
                raise Rejected("an operand can't be computed in float32")
            real = found
    state.floats[name] = real
    return real


def tensor(scope: Scope, operand: int = 0) -> Placed:
    """An operand where it is; a constant becomes a value, in ONNX's order."""
    return real(scope, scope.value(operand))


def emit(scope: Scope, op: Op, operands: Sequence[str]) -> str:
    for name in operands:
        t = scope.state.builder.types[name]
        if t.dtype != FLOAT32:
            raise Rejected(f"an operand is {t.dtype}, supported is float32")
    return scope.state.emit(op, operands, scope.name, None)


def same_place(scope: Scope, op: Op, at: Placed, *others: str) -> Placed:
    """The result of an operator that keeps shape and order of its first operand."""
    return replace(at, name=emit(scope, op, [at.name, *others]))


@float_importer("QuantizeLinear")
def _quantize(scope: Scope) -> None:
    """With a scale for each channel or block: division, rounding and zero point in float32, then to an integer."""
    scale, zero_point = quantize_parameters(scope)
    dtype = DType.find(zero_point.dtype)
    if scale.size == 1:
        scope.ignore("axis", "block_size")
        if dtype in (INT16, UINT16):
            scope.set(_quantize_wide(scope, scale, zero_point, dtype))
        else:
            scope.set(as_quantized(*quantized_with(scope, scope.value(), scale, zero_point)))
        return
    wide = dtype in (INT16, UINT16)
    if dtype is None or not (wide or dtype in (INT8, UINT8) or is_of_few_bits(dtype)):
        raise Rejected(f"it quantises to {zero_point.dtype.name}, supported are integers of 2, 4, 8 and 16 bits")
    x = tensor(scope)
    quotient = same_place(scope, Div(), x, _per_element(scope, scale, x))
    rounded = same_place(scope, ElementwiseFunction("round"), quotient)
    shifted = same_place(scope, Add(), rounded, _per_element(scope, zero_point, x))
    quant = Quantization.per_tensor(1.0, -shift_of(dtype))
    op = Quantize(INT16 if wide else INT8, "even")
    at = replace(x, name=scope.state.emit(op, [shifted.name], scope.name, quant))
    scope.set(Quantized(within_range(scope, at, dtype) if is_of_few_bits(dtype) else at, dtype))


def _quantize_wide(scope: Scope, scale: Array, zero_point: Array, dtype: DType) -> Quantized:
    """To 16 bits."""
    quant = per_tensor_quantization(scale, zero_point, shift_of(dtype))
    x = tensor(scope)
    return Quantized(replace(x, name=scope.state.emit(Quantize(INT16, "even"), [x.name], scope.name, quant)), dtype)


@float_importer("DequantizeLinear")
def _dequantize(scope: Scope) -> None:
    """With a scale for each channel or block, or a computed one: (q - zero point) * scale in float32."""
    value = integer_operand(scope)
    if not isinstance(value, Quantized):
        raise Rejected("its operand is no integer tensor")
    of_scale = scope.value(1)
    if isinstance(of_scale, Real):
        scope.set(Real(_dequantized_by(scope, value, of_scale)))
        return
    scale = scope.constant(1, "the scale")
    dequantized_type(scope, scale)
    check_sizes(scale, scope.constant(2, "the zero point") if scope.has(2) else np.zeros(1))
    state, at = scope.state, scope.unfolded(value.at)
    if scale.size == 1 and value.dtype in (INT16, UINT16):
        zero_point = scope.constant(2, "the zero point") if scope.has(2) else np.zeros(1, np.int64)
        quant = per_tensor_quantization(scale, zero_point, value.shift)
        scope.ignore("axis", "block_size")
        at = with_quantization(scope, at, quant)
        scope.set(Real(replace(at, name=state.emit(Dequantize(), [at.name], scope.name, None))))
        return
    x = _as_numbers(scope, replace(value, at=at))
    if scope.has(2):
        x = same_place(scope, Sub(), x, _per_element(scope, scope.constant(2, "the zero point"), at))
    scope.set(Real(same_place(scope, Mul(), x, _per_element(scope, scale, at))))


def _dequantized_by(scope: Scope, value: Quantized, scale: Real) -> Placed:
    """(q - zero point) * scale with computed ones, of one element each. Raises Rejected."""
    if scale.at.shape not in ((), (1,)):
        raise Rejected(f"the scale is computed at run time and has the shape {list(scale.at.shape)}")
    scope.ignore("axis", "block_size")  # of one scale
    if scope.attribute("output_dtype", 0) not in (0, 1):
        raise Rejected("the attribute output_dtype: its result is no float32")
    x = _as_numbers(scope, value)
    if scope.has(2):
        zero_point = scope.state.values[scope.node.input[2]]
        scope.ignore(2)
        if isinstance(zero_point, Known):
            x = same_place(scope, Sub(), x, _per_element(scope, zero_point.array, x))
        elif isinstance(zero_point, Quantized) and zero_point.at.shape in ((), (1,)):
            x = same_place(scope, Sub(), x, _as_numbers(scope, zero_point).name)
        else:
            raise Rejected("the zero point is no integer, or several")
    return same_place(scope, Mul(), x, scale.at.name)


def _as_numbers(scope: Scope, value: Quantized) -> Placed:
    """Integers as floats."""
    state, at = scope.state, scope.unfolded(value.at)
    quant = Quantization.per_tensor(1.0, -value.shift)
    raw = state.emit(Reshape(at.physical_shape), [at.name], f"{scope.name}_quantized", quant)
    return replace(at, name=state.emit(Dequantize(), [raw], f"{scope.name}_numbers", None))


def _per_element(scope: Scope, parameter: Array, x: Placed) -> str:
    """Scales or zero points per channel or block as a constant that broadcasts with a tensor."""
    rank = len(x.shape)
    axis, block = int(scope.attribute("axis", 1)), int(scope.attribute("block_size", 0))
    axis = positive_axis(axis, x.shape) if parameter.size > 1 or block else 0
    if parameter.size == 1 and not block:
        wide = parameter.reshape([1] * rank)
    elif parameter.ndim <= 1:
        if parameter.size not in (1, x.shape[axis]):
            raise Rejected(f"{parameter.size} scales or zero points for axis {axis} of {list(x.shape)}")
        wide = parameter.reshape([-1 if i == axis else 1 for i in range(rank)])
    else:
        wide = of_elements(parameter, axis, block, x.shape)
    return constant(scope, arranged(wide.astype(np.float32), rank, x.order))
