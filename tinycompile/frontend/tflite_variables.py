"""Variables that have handles: states, read and assigned in the order of the file."""

from __future__ import annotations

from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_resources import ASSIGN, HANDLE, INITIALISE, READ
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import TensorType


@importer(HANDLE, options=tflite.VarHandleOptions, versions=1)
def var_handle(scope: Scope) -> None:
    """A tensor that stands for a variable's name."""
    scope.options.without_effect("Container", "SharedName")
    if len(scope.operator.outputs) != 1:
        raise scope.fail(f"{len(scope.operator.outputs)} results where there should be one")


@importer(INITIALISE, options=tflite.CallOnceOptions, versions=1)
def call_once(scope: Scope) -> None:
    """Constants that variables begin with."""
    scope.options.without_effect("InitSubgraphIndex")
    if scope.values.model.resources.problem:
        raise Rejected(scope.values.model.resources.problem)


@importer(READ, options=tflite.ReadVariableOptions, versions=1)
def read_variable(scope: Scope) -> None:
    """What the variable holds."""
    name, t = _variable(scope), scope.declared()
    value = scope.values.named(name, t, scope.operator.outputs[0])
    _check(scope, name, t, scope.values.builder.types[value])
    scope.values.bind(scope.operator.outputs[0], value)


@importer(ASSIGN, options=tflite.AssignVariableOptions, versions=1)
def assign_variable(scope: Scope) -> None:
    """What the variable holds from here on, and in the next inference."""
    name, value, t = _variable(scope), scope.input(1), scope.input_type(1)
    _check(scope, name, t, scope.values.builder.types[scope.values.named(name, t)])
    scope.values.assign(name, value)


def _variable(scope: Scope) -> str:
    """The name that operand 0 stands for; the variable has a value to begin with."""
    handle = scope.handle(0)
    resources = scope.values.model.resources
    if handle not in resources.handles:
        raise Rejected("its operand 0 is no handle of a variable")
    name = resources.handles[handle]
    if name not in resources.initial:
        raise Rejected(f"nothing initialises the variable {name!r}")
    return name


def _check(scope: Scope, name: str, t: TensorType, held: TensorType) -> None:
    """All readings and assignments are of one type."""
    initial = scope.values.model.resources.initial[name]
    wrong = t.mismatch(initial)
    if wrong is not None:
        raise scope.fail(f"the variable {name!r} is {t}, and begins with {wrong}")
    if (t.shape, t.dtype) != (held.shape, held.dtype):
        raise scope.fail(f"the variable {name!r} is {held} and {t}")
    if not (t.quant is None if held.quant is None else held.quant.same_as(t.quant)):
        raise Rejected(f"the variable {name!r} is assigned or read with another scale or zero point")
