"""Operators of integers without scales, of any size: what ONNX computes with them as C does.

They are tried where an operator isn't quantised arithmetic: integers that no DequantizeLinear reads may be anything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tinycompile.dtypes import BOOL, DType
from tinycompile.frontend.onnx_discrete import COMPARISONS, discrete, emitted, plain_integers
from tinycompile.frontend.onnx_registry import Importer
from tinycompile.frontend.onnx_scope import Scope, State
from tinycompile.frontend.onnx_values import Discrete, Known, Placed, Quantized, Value
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Op
from tinycompile.ops._integers import PLAIN
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.bitwise_and import BitwiseAnd
from tinycompile.ops.bitwise_or import BitwiseOr
from tinycompile.ops.bitwise_xor import BitwiseXor
from tinycompile.ops.cast import Cast
from tinycompile.ops.div import Div
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.fmod import Fmod
from tinycompile.ops.left_shift import LeftShift
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.pow import Pow
from tinycompile.ops.right_shift import RightShift
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.sub import Sub

INTEGER_IMPORTERS: dict[str, Importer] = {}
_PAIRS: Mapping[str, Op] = {
    "Add": Add(),
    "BitwiseAnd": BitwiseAnd(),
    "BitwiseOr": BitwiseOr(),
    "BitwiseXor": BitwiseXor(),
    "Div": Div(),
    "Max": Maximum(),
    "Min": Minimum(),
    "Mul": Mul(),
    "Sub": Sub(),
    "Sum": Add(),
    **COMPARISONS,
}
_SINGLE: Mapping[str, Op] = {"Abs": Abs(), "Neg": Neg(), "Sign": Sign()}


def integer_importer(*names: str) -> Callable[[Importer], Importer]:
    """Decorator: read these operators with this function where all operands are integers."""

    def register(function: Importer) -> Importer:
        for name in names:
            INTEGER_IMPORTERS[name] = function
        return function

    return register


def import_integers(state: State, node: Any) -> bool:
    """Read a node of integers without scales; whether it is one. Raises Rejected."""
    if node.op_type not in INTEGER_IMPORTERS or not all(_is_integer(state.values[n]) for n in node.input if n):
        return False
    scope = Scope(state, node)
    INTEGER_IMPORTERS[node.op_type](scope)
    scope.check_read(state.wanted)
    return True


def _is_integer(value: Value) -> bool:
    if isinstance(value, Known):
        return value.array.dtype.kind in "biu"
    return isinstance(value, Quantized) or (isinstance(value, Discrete) and not value.dtype.is_float)


def plain(scope: Scope, operand: int = 0) -> Discrete:
    return plain_integers(scope, scope.value(operand))


def _chained(scope: Scope, op: Op, operands: Sequence[Discrete]) -> None:
    """A function of two elements, of one operand after the other."""
    rank = len(scope.shape())
    result, *others = operands
    for other in others:
        result = emitted(scope, op, [result.at, other.at], rank)
    scope.set(result)


def _operands(scope: Scope) -> list[Discrete]:
    return [plain(scope, i) for i in range(len(scope.node.input)) if scope.has(i)]


@integer_importer(*_PAIRS)
def pairs(scope: Scope) -> None:
    _chained(scope, _PAIRS[scope.kind], _operands(scope))


@integer_importer("Mod")
def modulo(scope: Scope) -> None:
    _chained(scope, Fmod() if scope.attribute("fmod", 0) else FloorMod(), _operands(scope))


@integer_importer("BitShift")
def shift(scope: Scope) -> None:
    _chained(
        scope, LeftShift() if scope.attribute("direction", "") == "LEFT" else RightShift(rule="onnx"), _operands(scope)
    )


@integer_importer("Pow")
def power(scope: Scope) -> None:
    """The exponent in the type of the base, which the result has."""
    base, exponent = _operands(scope)
    if exponent.dtype != base.dtype:
        at = exponent.at
        name = scope.state.emit(Cast(base.dtype), [at.name], f"{scope.name}_exponent", None)
        exponent = Discrete(replace(at, name=name), base.dtype)
    _chained(scope, Pow(), [base, exponent])


@integer_importer(*_SINGLE)
def single(scope: Scope) -> None:
    x = plain(scope)
    scope.set(Discrete(replace(x.at, name=_one(scope, _SINGLE[scope.kind], x.at)), x.dtype))


def _one(scope: Scope, op: Op, at: Placed) -> str:
    return scope.state.emit(op, [at.name], scope.name, None)


@integer_importer("BitwiseNot")
def complement(scope: Scope) -> None:
    x = plain(scope)
    if x.dtype == BOOL:
        raise Rejected("its operand is bool")
    _chained(scope, BitwiseXor(), [x, _number(scope, -1 if x.dtype.is_signed else x.dtype.range[1], x.dtype)])


def _number(scope: Scope, value: int, dtype: DType) -> Discrete:
    return discrete(scope, Known(np.array(value, dtype.carrier)))


@integer_importer("Relu", "Clip")
def bounded(scope: Scope) -> None:
    """The upper bound wins where they contradict each other."""
    x = plain(scope)
    if x.dtype not in PLAIN:
        raise Rejected(f"its operand is {x.dtype}")
    bounds: dict[int, Discrete] = {1: _number(scope, 0, x.dtype)} if scope.kind == "Relu" else {}
    bounds |= {operand: plain(scope, operand) for operand in (1, 2) if scope.has(operand)}
    result, rank = x, len(scope.shape())
    for operand, op in ((1, Maximum()), (2, Minimum())):
        if operand in bounds:
            result = emitted(scope, op, [result.at, bounds[operand].at], rank)
    scope.set(result)


@integer_importer("Where")
def choice(scope: Scope) -> None:
    condition, first, second = _operands(scope)
    names, order = scope.side_by_side([condition.at, first.at, second.at], len(scope.shape()))
    chosen = scope.state.emit(Select(), names, scope.name, None)
    scope.set(Discrete(Placed(chosen, scope.shape(), order), first.dtype))
