"""What the importer of one operator sees: its operands, results and options, and a way to add nodes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tinycompile.errors import ModelFileError
from tinycompile.frontend.builder import GraphBuilder
from tinycompile.frontend.tflite_file import SourceModel, SourceOperator, SourceTensor, option_reader
from tinycompile.ir import Array, Op, Source, TensorType

MAX_STEP = 1024
"""Largest stride, dilation and pooling window: more is either damage or bigger than a microcontroller's images."""


class Rejected(Exception):  # noqa: N818 - not an error of ours: it is collected and reported with the others
    """An operator that can't be compiled, with the reason."""


class Values:
    """The graph's values that are tensors of the file."""

    def __init__(self, model: SourceModel, builder: GraphBuilder) -> None:
        self.model, self.builder = model, builder
        self._names: dict[int, str] = {}

    def of(self, index: int) -> str:
        """The value that is tensor `index`; added on first use."""
        if index not in self._names:
            tensor = self.model.tensors[index]
            source = Source(index, tensor.name)
            self._names[index] = self.builder.value(tensor.name, type_of(tensor), source, tensor.data)
        return self._names[index]


def type_of(tensor: SourceTensor) -> TensorType:
    if tensor.type is None:
        raise Rejected(f"tensor {tensor.name!r} {tensor.reason}")
    return tensor.type


class Scope:
    """One operator of the file being imported."""

    def __init__(self, values: Values, operator: SourceOperator, where: str) -> None:
        self.values, self.operator, self.where = values, operator, where

    def reject_strange_tensors(self) -> None:
        for index in (*self.operator.inputs, *self.operator.outputs):
            if index >= 0:
                type_of(self.values.model.tensors[index])

    def fail(self, what: str) -> ModelFileError:
        return ModelFileError(what, where=self.where, why="the file contradicts itself")

    def has(self, operand: int) -> bool:
        """Whether an optional operand is there."""
        return operand < len(self.operator.inputs) and self.operator.inputs[operand] >= 0

    def input(self, operand: int = 0) -> str:
        """The value of an operand."""
        return self.values.of(self._tensor(operand).index)

    def inputs(self) -> list[str]:
        return [self.input(operand) for operand in range(len(self.operator.inputs))]

    def input_type(self, operand: int = 0) -> TensorType:
        return type_of(self._tensor(operand))

    def output(self) -> str:
        """The value of the only result."""
        if len(self.operator.outputs) != 1:
            raise self.fail(f"{len(self.operator.outputs)} results where there should be one")
        return self.values.of(self.operator.outputs[0])

    def output_type(self) -> TensorType:
        return self.values.builder.types[self.output()]

    def constant(self, operand: int, what: str) -> Array:
        """The value of an operand that has to be known now."""
        data = self._tensor(operand).data
        if data is None:
            raise Rejected(f"{what} is computed at run time, supported is a constant")
        return data

    def integers(self, operand: int, what: str) -> list[int]:
        """A constant operand of integers, flattened."""
        values = self.constant(operand, what)
        if values.dtype.name not in ("int32", "int64"):
            raise self.fail(f"{what} has the type {values.dtype.name}")
        return [int(value) for value in values.ravel()]

    def options(self, table: type[Any]) -> Options:
        return Options(self, table)

    def temporary(self, suffix: str, t: TensorType) -> str:
        """A value that the file doesn't have."""
        return self.values.builder.value(f"{self.output()}_{suffix}", t)

    def derived(self, suffix: str, t: TensorType, data: Array) -> str:
        """A constant that the file doesn't have in this form."""
        return self.values.builder.value(f"{self.output()}_{suffix}", t, None, data)

    def emit(self, op: Op, inputs: Sequence[str], output: str | None = None) -> None:
        """Add a node that computes `output` (by default the operator's), if its operands make sense."""
        output = output or self.output()
        sig = self.values.builder.signature(inputs, [output])
        try:
            ((shape, dtype),) = op.infer(sig.inputs)
        except ValueError as error:
            raise self.fail(str(error)) from error
        reason = op.unsupported(sig)
        if reason is not None:
            raise Rejected(reason)
        if (shape, dtype) != (sig.output.shape, sig.output.dtype):
            raise self.fail(f"the result is {TensorType(shape, dtype)}, the file says {sig.output}")
        self.values.builder.node(output, op, inputs, [output])

    def _tensor(self, operand: int) -> SourceTensor:
        if not self.has(operand):
            raise self.fail(f"operand {operand} is missing")
        return self.values.model.tensors[self.operator.inputs[operand]]


class Options:
    """An operator's options; the schema's defaults hold for what the file leaves out."""

    def __init__(self, scope: Scope, table: type[Any]) -> None:
        self._scope, self._read = scope, option_reader(scope.operator, table, scope.where)

    def integer(self, field: str) -> int:
        return int(self._read(field))

    def real(self, field: str) -> float:
        return float(self._read(field))

    def flag(self, field: str) -> bool:
        return bool(self._read(field))

    def positive(self, rows: str, columns: str) -> tuple[int, int]:
        """A pair of lengths (rows, columns)."""
        pair = self.integer(rows), self.integer(columns)
        if min(pair) < 1:
            raise self._scope.fail(f"{rows} and {columns} are {pair}")
        if max(pair) > MAX_STEP:
            raise Rejected(f"{rows} and {columns} are {pair}, supported are {MAX_STEP}")
        return pair


def resolved_shape(scope: Scope, shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """A shape of which one size may be -1, which stands for whatever is left."""
    if list(shape).count(-1) == 1:
        known = prod(n for n in shape if n != -1)
        shape = [elements // known if n == -1 and known > 0 else n for n in shape]
    if any(n < 0 for n in shape):
        raise scope.fail(f"the shape {list(shape)}")
    return tuple(shape)
