"""Operators that treat every element alike: functions of one number, of two, comparisons, choices; and LOG_SOFTMAX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.frontend.tflite_activations import (
    Activation,
    bounded,
    emit_activated,
    fused_range,
    quantized_range,
    real_range,
)
from tinycompile.frontend.tflite_registry import importer, plain
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import Op, TensorType
from tinycompile.ops._elementwise import Binary
from tinycompile.ops.abs import Abs
from tinycompile.ops.add import Add
from tinycompile.ops.atan2 import Atan2
from tinycompile.ops.bitwise_xor import BitwiseXor
from tinycompile.ops.div import Div
from tinycompile.ops.elementwise_function import ElementwiseFunction
from tinycompile.ops.elu import Elu
from tinycompile.ops.equal import Equal
from tinycompile.ops.exp import Exp
from tinycompile.ops.floor_div import FloorDiv
from tinycompile.ops.floor_mod import FloorMod
from tinycompile.ops.gelu import Gelu
from tinycompile.ops.greater import Greater
from tinycompile.ops.greater_equal import GreaterEqual
from tinycompile.ops.less import Less
from tinycompile.ops.less_equal import LessEqual
from tinycompile.ops.log import Log
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.pow import Pow
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.right_shift import RightShift
from tinycompile.ops.rsqrt import Rsqrt
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.sqrt import Sqrt
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.ops.sub import Sub

# Operators without options that mean anything: (operator, table of options, newest version).

_ONE: Mapping[str, tuple[Op, type[Any] | None, int]] = {
    "CEIL": (ElementwiseFunction("ceil"), None, 1),
    "COS": (ElementwiseFunction("cos"), tflite.CosOptions, 2),
    "ELU": (Elu(), None, 1),
    "EXP": (Exp(), tflite.ExpOptions, 2),
    "FLOOR": (ElementwiseFunction("floor"), None, 1),
    "LOG": (Log(), None, 2),
    "LOGICAL_NOT": (LogicalNot(), tflite.LogicalNotOptions, 1),
    "LOG_SOFTMAX": (LogSoftmax(), tflite.LogSoftmaxOptions, 2),
    "NEG": (Neg(), tflite.NegOptions, 1),
    "ROUND": (ElementwiseFunction("round"), None, 1),
    "RSQRT": (Rsqrt(), None, 3),
    "SIGN": (Sign(), tflite.SignOptions, 2),
    "SIN": (ElementwiseFunction("sin"), None, 2),
    "SQRT": (Sqrt(), None, 2),
    "SQUARE": (ElementwiseFunction("square"), tflite.SquareOptions, 1),
}
_TWO: Mapping[str, tuple[Op, type[Any] | None, int]] = {
    "ATAN2": (Atan2(), tflite.ATan2Options, 1),
    "BITWISE_XOR": (BitwiseXor(), tflite.BitwiseXorOptions, 1),
    "EQUAL": (Equal(), tflite.EqualOptions, 5),
    "FLOOR_DIV": (FloorDiv(), tflite.FloorDivOptions, 3),
    "FLOOR_MOD": (FloorMod(), tflite.FloorModOptions, 2),
    "GREATER_EQUAL": (GreaterEqual(), tflite.GreaterEqualOptions, 3),
    "LESS": (Less(), tflite.LessOptions, 3),
    "LESS_EQUAL": (LessEqual(), tflite.LessEqualOptions, 2),
    "LOGICAL_AND": (LogicalAnd(), tflite.LogicalAndOptions, 1),
    "LOGICAL_OR": (LogicalOr(), tflite.LogicalOrOptions, 1),
    "MAXIMUM": (Maximum(), tflite.MaximumMinimumOptions, 4),
    "MINIMUM": (Minimum(), tflite.MaximumMinimumOptions, 4),
    "NOT_EQUAL": (NotEqual(), tflite.NotEqualOptions, 4),
    "POW": (Pow(), tflite.PowOptions, 1),
    "PRELU": (Prelu(), None, 1),
    "RIGHT_SHIFT": (RightShift(), tflite.RightShiftOptions, 1),
    "SQUARED_DIFFERENCE": (SquaredDifference(), tflite.SquaredDifferenceOptions, 2),
}


for _operands, _table in ((1, _ONE), (2, _TWO)):
    for _name, (_op, _options, _versions) in _table.items():
        plain(_name, _op, _operands, _options, _versions)


@importer("ABS", options=tflite.AbsOptions, versions=5)
def absolute(scope: Scope) -> None:
    scope.emit(Abs(), [scope.input()])


@importer("GELU", options=tflite.GeluOptions, versions=3)
def gelu(scope: Scope) -> None:
    scope.emit(Gelu(scope.options.flag("Approximate")), [scope.input()])


# Arithmetic with a fused activation.


@importer("RELU", "RELU6", versions=3)
@importer("RELU_N1_TO_1", "RELU_0_TO_1", versions=1)
def relu(scope: Scope) -> None:
    name, y = scope.operator.name, scope.output_type()
    if name == "RELU6" and scope.runtime == "tflm" and y.quant is not None:
        return _limited_bytes(scope)
    bounds = (0.0, 1.0) if name == "RELU_0_TO_1" else real_range(getattr(Activation, name))  # the first is never fused
    return scope.emit(bounded(bounds) if y.dtype.is_float else Relu(quantized_range(bounds, y)), [scope.input()])


def _limited_bytes(scope: Scope) -> None:
    """TFLM's RELU6 ignores the output's scale and zero point: bytes of the input's, limited, are the result."""
    x = scope.input_type()
    limited = scope.temporary("limited", x)
    scope.emit(Relu(quantized_range(real_range(Activation.RELU6), x)), [scope.input()], limited)
    scope.emit(Reshape(x.shape), [limited])


def _emit_pair(scope: Scope, op: type[Binary]) -> None:
    emit_activated(scope, op(fused_range(scope)), [scope.input(0), scope.input(1)])


@importer("GREATER", options=tflite.GreaterOptions, versions=2)
def greater(scope: Scope) -> None:
    if scope.runtime == "tflm" and scope.input_type().dtype == INT16:
        raise Rejected("TFLM compares scaled and rounded numbers of int16; --match litert compares them as they are")
    scope.emit(Greater(), [scope.input(0), scope.input(1)])


def _refuse_shifted(scope: Scope) -> None:
    """A sum of int16 operands whose scales are powers of two, which LiteRT shifts where the option says so."""
    shifted = scope.options.flag("PotScaleInt16")
    types = (scope.input_type(0), scope.input_type(1), scope.output_type())
    scales = [t.scale for t in types if t.dtype == INT16 and t.quant is not None and t.quant.is_per_tensor]
    if shifted and len(scales) == 3 and all(np.frexp(scale)[0] == 0.5 for scale in scales):
        raise Rejected("its option pot_scale_int16 is true and all scales are powers of two")


@importer("ADD", options=tflite.AddOptions, versions=6)
def add(scope: Scope) -> None:
    _refuse_shifted(scope)
    _emit_pair(scope, Add)


@importer("SUB", options=tflite.SubOptions, versions=5)
def sub(scope: Scope) -> None:
    _refuse_shifted(scope)
    _emit_pair(scope, Sub)


@importer("MUL", options=tflite.MulOptions, versions=8)
def mul(scope: Scope) -> None:
    emit_activated(scope, Mul(fused_range(scope), runtime=scope.runtime), [scope.input(0), scope.input(1)])


@importer("DIV", options=tflite.DivOptions, versions=2)
def div(scope: Scope) -> None:
    _emit_pair(scope, Div)


@importer("ADD_N", options=tflite.AddNOptions, versions=1)
def add_n(scope: Scope) -> None:
    """Sums from the first operand to the last; LiteRT has no int8 form."""
    total, *others = scope.inputs()
    y = scope.output_type()
    if y.quant is not None:
        raise Rejected(f"the operands are {y.dtype} with scales, supported are float32 and int32")
    if not others:
        raise scope.fail("a sum of one operand")
    for number, operand in enumerate(others[:-1], 1):
        partial = scope.temporary(f"sum_{number}", TensorType(y.shape, y.dtype))
        scope.emit(Add(), [total, operand], partial)
        total = partial
    scope.emit(Add(), [total, others[-1]])


# Choices.


@importer("SELECT", options=tflite.SelectOptions, versions=4)
def select(scope: Scope) -> None:
    """A condition of one axis chooses among what lies along the first axis of the others."""
    condition, x = scope.input_type(0), scope.input_type(1)
    if x.shape != scope.input_type(2).shape:
        raise scope.fail(f"a choice between shapes {list(x.shape)} and {list(scope.input_type(2).shape)}")
    name, rank = scope.input(0), len(x.shape)
    if len(condition.shape) == 1 and rank > 1:
        shape = (*condition.shape, *(1,) * (rank - 1))
        name = scope.temporary("condition", TensorType(shape, condition.dtype))
        scope.emit(Reshape(shape), [scope.input(0)], name)
    scope.emit(Select(), [name, scope.input(1), scope.input(2)])


@importer("SELECT_V2", options=tflite.SelectV2Options, versions=2)
def select_v2(scope: Scope) -> None:
    scope.emit(Select(), [scope.input(operand) for operand in range(3)])
