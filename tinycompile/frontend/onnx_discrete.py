"""Truth values and integers that aren't quantised: comparisons, logic, choices, conversions, arithmetic of indices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, FLOAT64, INT32, DType
from tinycompile.frontend.onnx_evaluate import values_of
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_regions import BOOLEAN_SEVERAL, arrangeable, joins_region
from tinycompile.frontend.onnx_registry import importer
from tinycompile.frontend.onnx_scope import NOT_ROUNDED, Scope
from tinycompile.frontend.onnx_values import (
    Arranged,
    Dequantized,
    Discrete,
    Known,
    Placed,
    Quantized,
    Real,
    Value,
    identity,
)
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Op, Quantization, Signature, TensorType
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.bit_cast import BitCast
from tinycompile.ops.cast import Cast
from tinycompile.ops.div import Div
from tinycompile.ops.equal import Equal
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.greater import Greater
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.less import Less
from tinycompile.ops.less_equal import LessEqual
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.sub import Sub

COMPARISONS: Mapping[str, Op] = {
    "Equal": Equal(),
    "Greater": Greater(),
    "GreaterOrEqual": GreaterEqual(),
    "Less": Less(),
    "LessOrEqual": LessEqual(),
}
_LOGIC: Mapping[str, Op] = {"And": LogicalAnd(), "Or": LogicalOr(), "Xor": NotEqual()}
_INTEGERS: Mapping[str, Op] = {
    "Abs": Abs(),
    "Add": Add(),
    "Div": Div(),
    "Max": Maximum(),
    "Min": Minimum(),
    "Mod": FloorMod(),
    "Mul": Mul(),
    "Neg": Neg(),
    "Sign": Sign(),
    "Sub": Sub(),
    "Sum": Add(),
}
_HALF = Quantization.per_tensor(0.5, 0)
"""With this scale int8 numbers are compared as they are."""


def discrete(scope: Scope, value: Value) -> Discrete:
    """A value as a tensor of truth values or integers. Raises Rejected."""
    match value:
        case Discrete():
            return value
        case Known():
            dtype = DType.find(value.array.dtype)
            if dtype is None or dtype.is_float:
                raise Rejected(f"a constant is {value.array.dtype.name}")
            array = np.asarray(value.array, order="C")
            name = scope.state.value(f"{scope.name}_constant", TensorType(array.shape, dtype), array)
            return Discrete(Placed(name, array.shape, identity(array.ndim)), dtype)
        case Dequantized() if value.function is not None and value.function.boolean and value.channel is None:
            table = values_of(value.quant, value.function, scope.opset).astype(np.int8)
            numbers = Quantization.per_tensor(1.0, 0)
            name = value.function.node.output[0]
            found = scope.state.emit(Lookup(table.tobytes(), scope.kind), [value.at.name], f"{name}_number", numbers)
            result = scope.state.emit(Cast(BOOL), [found], name, None)
            return Discrete(Placed(result, value.shape, value.at.order, value.at.folded), BOOL)
        case _:
            raise Rejected(NOT_ROUNDED)


def is_discrete(value: Value) -> bool:
    """Whether `discrete` makes a tensor of it."""
    if isinstance(value, Known):
        return value.array.dtype.kind in "biu"
    return isinstance(value, Discrete) or (
        isinstance(value, Dequantized) and value.function is not None and value.function.boolean
    )


def emitted(scope: Scope, op: Op, places: Sequence[Placed], rank: int) -> Discrete:
    """The result of an operator with operands that broadcast."""
    names, order = scope.side_by_side(places, rank)
    result = scope.state.emit(op, names, scope.name, None)
    return Discrete(Placed(result, scope.shape(), order), scope.state.builder.types[result].dtype)


def arithmetic(scope: Scope, values: Sequence[Value]) -> bool:
    """Computes an operator of integers or truth values, if it is one."""
    if not all(map(is_discrete, values)) or all(isinstance(value, Known) for value in values):
        return False
    op = {**_INTEGERS, **_LOGIC, **COMPARISONS, "Not": LogicalNot()}.get(scope.kind)
    if op is None or (scope.kind == "Mod" and scope.attribute("fmod", 0)):
        raise Rejected("its operands are integers")
    rank = len(scope.shape())
    result, *others = [discrete(scope, value) for value in values]
    if not others:
        result = emitted(scope, op, [result.at], rank)
    for other in others:
        result = emitted(scope, op, [result.at, other.at], rank)
    scope.set(result)
    return True


@importer(*BOOLEAN_SEVERAL)
def comparison(scope: Scope) -> None:
    first, second = scope.operands()
    if joins_region(scope) or arithmetic(scope, [first, second]):
        return
    if scope.kind not in COMPARISONS or not isinstance(first, Dequantized) or not isinstance(second, Dequantized):
        raise Rejected(NOT_ROUNDED)
    if first.function is not None or second.function is not None or not first.quant.same_as(second.quant):
        raise Rejected(NOT_ROUNDED)
    places = [_as_numbers(scope, value.at) for value in (first, second)]
    scope.set(emitted(scope, COMPARISONS[scope.kind], places, len(scope.shape())))


def _as_numbers(scope: Scope, at: Placed) -> Placed:
    """The bytes of a tensor with a scale that changes no comparison."""
    at = scope.unfolded(at)
    name = scope.state.emit(Reshape(scope.state.type_of(at).shape), [at.name], f"{scope.name}_bytes", _HALF)
    return Placed(name, at.shape, at.order)


@importer("Not")
def negation(scope: Scope) -> None:
    if not joins_region(scope) and not arithmetic(scope, [scope.value()]):
        raise Rejected(NOT_ROUNDED)


@importer("Where")
def where(scope: Scope) -> None:
    if joins_region(scope):
        return
    condition, shape = discrete(scope, scope.value()), scope.shape()

    def chosen(places: Sequence[Placed], quant: Quantization | None) -> Placed:
        names, order = scope.side_by_side([condition.at, *places], len(shape))
        return Placed(scope.state.emit(Select(), names, scope.name, quant), shape, order)

    combined(scope, [scope.value(1), scope.value(2)], chosen)


def combined(
    scope: Scope, values: Sequence[Value], how: Callable[[Sequence[Placed], Quantization | None], Placed]
) -> None:
    """The node's result is made of elements of several operands, all floats or all not."""
    if all(map(is_discrete, values)):
        operands = [discrete(scope, value) for value in values]
        scope.set(Discrete(how([value.at for value in operands], None), operands[0].dtype))
    elif all(isinstance(value, Real | Known) for value in values):
        scope.set(Real(how([real(scope, value) for value in values], None)))
    else:
        arrangeable(values)
        scope.set(Arranged(tuple(values), how, scope.shape()))


def real(scope: Scope, value: Value) -> Placed:
    """A float32 tensor, or a constant as one, in ONNX's order. Raises Rejected."""
    if isinstance(value, Real):
        return scope.unfolded(value.at)
    if isinstance(value, Known):
        return Placed(constant(scope, value.array), value.shape, identity(len(value.shape)))
    raise Rejected("an operand is no float tensor")


def constant(scope: Scope, array: Array) -> str:
    """Floats as a float32 constant of the IR. Raises Rejected."""
    dtype = DType.find(array.dtype)
    if dtype is None or not dtype.is_float:
        raise Rejected(f"an operand is {array.dtype}, supported is float32")
    values = np.asarray(array, np.float32, order="C")  # ascontiguousarray would give a scalar an axis
    return scope.state.value(f"{scope.name}_constant", TensorType(values.shape, FLOAT32), values)


# Conversions.


@importer("Cast", "CastLike")
def cast(scope: Scope) -> None:
    """To float32, which a float value has already; between integers, truth values and floats."""
    value, wanted = scope.stored(), _wanted_type(scope)
    dtype = DType.find(wanted)
    saturate, rounding = bool(scope.attribute("saturate", 1)), scope.attribute("round_mode", "up")
    if isinstance(value, Known) and (dtype is None or value.array.dtype != dtype.carrier):
        if dtype is None:
            raise Rejected(f"a conversion to {wanted.name}, supported are numbers")
        t = TensorType(value.shape, DType.of(value.array.dtype))
        (converted,) = Cast(dtype, saturate, rounding).evaluate(
            Signature((t,), (TensorType(value.shape, dtype),)), [value.array]
        )
        scope.set(Known(converted))
        return
    if dtype == FLOAT32 and not isinstance(value, Quantized | Discrete):
        if isinstance(value, Real) or scope.kind == "CastLike" or not joins_region(scope):
            scope.set(value)
        return
    if dtype is None:
        raise Rejected(f"a conversion to {wanted.name}, supported are numbers")
    if dtype == FLOAT64 and isinstance(value, Real):
        scope.set(value)  # it is computed in float32 all the same
        return
    source = value.at if isinstance(value, Real) else discrete(scope, value).at
    if dtype.is_sub_byte and dtype.is_integer and scope.state.type_of(source).dtype.is_float:
        source = replace(source, name=scope.state.emit(Cast(INT32), [source.name], f"{scope.name}_whole", None))
    if dtype == FLOAT64:
        dtype = FLOAT32
    result = scope.state.emit(Cast(dtype, saturate, rounding), [source.name], scope.name, None)
    at = Placed(result, source.shape, source.order, source.folded)
    scope.set(Real(at) if dtype == FLOAT32 else Discrete(at, dtype))


@importer("BitCast")
def bit_cast(scope: Scope) -> None:
    """float64, which is computed as float32, has its bits only as an input that nothing else changed."""
    wanted = np.dtype(onnx_module().helper.tensor_dtype_to_np_dtype(int(scope.attribute("to", 0))))
    value, dtype = scope.stored(), DType.find(wanted)
    if dtype is None:
        raise Rejected(f"the bits as {wanted.name}, supported are numbers")
    source = value.at if isinstance(value, Real) else plain_integers(scope, value).at
    result = scope.state.emit(BitCast(dtype), [source.name], scope.name, None)
    at = Placed(result, source.shape, source.order, source.folded)
    scope.set(Real(at) if dtype == FLOAT32 else Discrete(at, dtype))


def plain_integers(scope: Scope, value: Value) -> Discrete:
    """Integers, or truth values, of their own type in ONNX."""
    if not isinstance(value, Quantized):
        return discrete(scope, value)
    at = scope.unfolded(value.at)
    if value.dtype.is_sub_byte:
        name = scope.state.emit(Cast(value.dtype), [at.name], f"{scope.name}_plain", None)
        return Discrete(replace(at, name=name), value.dtype)
    original = scope.state.originals.get(at.name, at.name if value.shift == 0 else None)
    if original is not None:
        name = scope.state.emit(Reshape(at.physical_shape), [original], f"{scope.name}_plain", None)
        return Discrete(replace(at, name=name), value.dtype)
    wide = scope.state.emit(Cast(INT32), [at.name], f"{scope.name}_wide", None)
    shift = discrete(scope, Known(np.array([value.shift], np.int32)))
    moved = scope.state.emit(Add(), [wide, shift.at.name], f"{scope.name}_shifted", None)
    name = scope.state.emit(Cast(value.dtype), [moved], f"{scope.name}_plain", None)
    return Discrete(replace(at, name=name), value.dtype)


def _wanted_type(scope: Scope) -> np.dtype:
    if scope.kind == "Cast":
        return np.dtype(onnx_module().helper.tensor_dtype_to_np_dtype(int(scope.attribute("to", 0))))
    like = scope.stored(1)
    if isinstance(like, Known):
        return like.array.dtype
    if isinstance(like, Quantized | Discrete):
        return np.dtype(like.dtype.carrier)
    return np.dtype(bool if is_discrete(like) else np.float32)


def wrapped(scope: Scope, value: Value, sizes: Sequence[int]) -> Discrete:
    """Indices of which negative ones count from the end, as indices from the beginning.

    Args:
        sizes: of the axes: one for all indices, or one for each element of the indices' last axis.
    """
    if isinstance(value, Known):
        indices = value.array.astype(np.int64)
        return discrete(scope, Known(np.where(indices < 0, indices + np.array(sizes), indices)))
    found = discrete(scope, value)
    at, carrier = scope.plain(found.at), found.dtype.carrier
    if found.dtype == BOOL:
        raise Rejected("its indices are bool")
    if found.positive:
        return Discrete(at, found.dtype, positive=True)
    zero, size = (_integer(scope, np.array(n, carrier)) for n in ([0], list(sizes)))
    names: list[str] = [
        scope.state.emit(Less(), [at.name, zero], f"{scope.name}_negative", None),
        scope.state.emit(Add(), [at.name, size], f"{scope.name}_from_end", None),
    ]
    result = scope.state.emit(Select(), [*names, at.name], f"{scope.name}_index", None)
    return Discrete(Placed(result, at.shape, at.order), found.dtype, positive=True)


def _integer(scope: Scope, array: Array) -> str:
    return scope.state.value(f"{scope.name}_constant", TensorType(array.shape, DType.of(array.dtype.name)), array)
