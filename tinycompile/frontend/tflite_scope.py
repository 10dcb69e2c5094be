"""What the importer of one operator sees: its operands, results and options, and a way to add nodes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import FLOAT32, INT2, INT4, INT8, INT32, INT64, UINT32, DType
from tinycompile.errors import ModelFileError
from tinycompile.frontend.builder import GraphBuilder, results_of
from tinycompile.frontend.tflite_file import UNSIGNED, SourceModel, SourceOperator, SourceTensor
from tinycompile.frontend.tflite_options import OptionTable, schema_name
from tinycompile.ir import Array, Graph, ImpossibleSizeError, Op, Signature, Source, State, TensorType
from tinycompile.ops._typed import Typed

MAX_STEP = 1024
"""Largest stride, dilation and pooling window: more is either damage or bigger than a microcontroller's images."""


_UNSIGNED: Mapping[str, tuple[DType, ...]] = {
    "CAST": (UINT32,),
    "CONCATENATION": (UINT32,),
    "RESHAPE": UNSIGNED,
    "SLICE": UNSIGNED,
    "STRIDED_SLICE": UNSIGNED,
}
"""Operators that LiteRT has for unsigned integers, beside TFLM's for signals."""


def _takes(operator: str, dtype: DType) -> bool:
    return operator.startswith("Signal") or dtype in _UNSIGNED.get(operator, ())


class Rejected(Exception):  # noqa: N818 - not an error of ours: it is collected and reported with the others
    """An operator that can't be compiled, with the reason."""


ReadBody = Callable[[SourceOperator, int, Mapping[int, Array]], Graph]
"""A subgraph of an operator as a graph; with the values of some of its inputs, which aren't the graph's then."""


def _no_body(operator: SourceOperator, number: int, known: Mapping[int, Array]) -> Graph:
    raise Rejected(f"its subgraph {number} isn't read")


class Values:
    """The graph's values that are tensors of the file.

    Attributes:
        folded: tensors whose value is known although an operator computes it.
        floats: whether operators may compute in float32.
        match: the runtime whose bytes the operators' are.
        computed_in_float: those that do.
        body: reads a subgraph.
    """

    def __init__(
        self, model: SourceModel, builder: GraphBuilder, *, floats: bool = True, match: Runtime = "litert"
    ) -> None:
        self.model, self.builder, self.floats = model, builder, floats
        self.match: Runtime = match
        self.computed_in_float: list[SourceOperator] = []
        self.body: ReadBody = _no_body
        self.folded: dict[int, Array] = {}
        self._names: dict[int, str] = {}
        self._states: dict[int, tuple[str, str]] = {}
        self._named: dict[str, tuple[str, str]] = {}
        self.kept: list[tuple[str, str]] = []
        """States that operators have without a variable in the file: the value before, and the next one."""

    def known(self, index: int) -> Array | None:
        """The value of tensor `index`, if it doesn't depend on the model's inputs."""
        return self.folded.get(index, self.model.tensors[index].data)

    def of(self, index: int) -> str:
        """The value that is tensor `index`; added on first use."""
        if index not in self._names:
            tensor = self.model.tensors[index]
            source = Source(index, tensor.name)
            self._names[index] = self.builder.value(tensor.name, self.type(index), source, self.known(index))
        return self._names[index]

    def state(self, index: int) -> str:
        """What variable `index` holds at this point of the graph; before anything has written it, what the step before
        left."""
        if index not in self._states:
            tensor = self.model.tensors[index]
            name = self.builder.value(f"{tensor.name}_before", self.type(index))
            self._states[index] = (name, name)
        return self._states[index][1]

    def named(self, name: str, t: TensorType, index: int | None = None) -> str:
        """What the variable of this name holds at this point of the graph, which is tensor `index`."""
        if name not in self._named:
            source = None if index is None else Source(index, self.model.tensors[index].name)
            first = self.builder.value(name or "variable", t, source)
            self._named[name] = (first, first)
        return self._named[name][1]

    def assign(self, name: str, value: str) -> None:
        """The variable of this name holds a value from here on."""
        self.named(name, self.builder.types[value])
        self._named[name] = (self._named[name][0], value)

    def bind(self, index: int, value: str) -> None:
        """Tensor `index` is another value."""
        self._names[index] = value

    def result(self, index: int) -> str:
        """What tensor `index` is after the last operator."""
        return self.state(index) if self.model.tensors[index].is_variable else self.of(index)

    def store(self, index: int) -> str:
        """A new value of variable `index`, which the caller computes; it is what the file's tensor holds afterwards."""
        tensor, first = self.model.tensors[index], self._states[index][0]
        name = self.builder.value(tensor.name, self.type(index), Source(index, tensor.name))
        self._states[index] = (first, name)
        return name

    @property
    def states(self) -> tuple[State, ...]:
        """Of the variables; LiteRT begins with what stands for the number 0."""
        found = list[State]()
        for first, last in self._states.values():
            t = self.builder.types[first]
            zero = t.zero_point if t.quant is not None and t.dtype == INT8 else 0
            found.append(State(first, np.full(t.shape, zero, t.dtype.carrier), last))
        for first, last in self.kept:
            t = self.builder.types[first]
            found.append(State(first, np.zeros(t.shape, t.dtype.carrier), last))
        initial = self.model.resources.initial
        return (*found, *(State(first, initial[name], last) for name, (first, last) in self._named.items()))

    def type(self, index: int) -> TensorType:
        if index in self._names:
            return self.builder.types[self._names[index]]
        if index in self.folded:  # whatever the file says: a shape may have been dynamic when it was written
            value = self.folded[index]
            return TensorType(value.shape, DType.of(value.dtype))
        return type_of(self.model.tensors[index])


def type_of(tensor: SourceTensor) -> TensorType:
    if tensor.type is None or tensor.reason:
        raise Rejected(f"tensor {tensor.name!r} {tensor.reason}")
    return tensor.type


class Scope:
    """One operator of the file being imported."""

    def __init__(
        self, values: Values, operator: SourceOperator, where: str, options_table: type[Any] | None = None
    ) -> None:
        """`options_table`: the generated class of the operator's options; None if it has none."""
        self.values, self.operator, self.where = values, operator, where
        self.options = Options(self, OptionTable(operator, options_table, where))
        self._read = set[int]()

    def reject_strange_tensors(self) -> None:
        for index in (*self.operator.inputs, *self.operator.outputs):
            if index >= 0 and index not in self.values.model.resources.handles:
                t = self.values.type(index)
                if t.dtype in UNSIGNED and not _takes(self.operator.importer, t.dtype):
                    raise Rejected(
                        f"tensor {self.values.model.tensors[index].name!r} has the type {str(t.dtype).upper()}"
                    )
        for tensor in (self.values.model.tensors[index] for index in self.operator.outputs):
            if tensor.is_variable:
                raise Rejected(
                    f"tensor {tensor.name!r} is a variable (state that survives an inference), and its result"
                )

    def state(self, operand: int) -> str:
        """What a variable holds before this operator."""
        tensor = self._tensor(operand, variable=True)
        if not tensor.is_variable:
            raise Rejected(f"operand {operand} is no variable, which LiteRT refuses")
        return self.values.state(tensor.index)

    def handle(self, operand: int) -> int:
        """The tensor that stands for a variable's name."""
        if not self.has(operand):
            raise self.fail(f"operand {operand} is missing")
        self._read.add(operand)
        return self.operator.inputs[operand]

    def store(self, operand: int) -> str:
        """What a variable holds after this operator: a result of a node that the caller adds."""
        return self.values.store(self.operator.inputs[operand])

    def intermediate(self, number: int) -> TensorType | None:
        """The type of an inner value; None where the file says nothing of it."""
        listed = self.operator.intermediates
        tensors = self.values.model.tensors
        if number >= len(listed) or not 0 <= listed[number] < len(tensors):
            return None
        return tensors[listed[number]].type

    def reject_unread(self) -> None:
        """Operands and options that no importer asked for would mean something that we don't know."""
        unread = [i for i in range(len(self.operator.inputs)) if self.has(i) and i not in self._read]
        if unread:
            raise Rejected(f"operand {unread[0]} is one that this operator doesn't have")
        self.options.reject_unread()

    @property
    def runtime(self) -> Runtime:
        """Whose bytes the operator's are."""
        return self.values.match

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
        return self.values.type(self._tensor(operand).index)

    def input_types(self) -> list[TensorType]:
        return [self.input_type(operand) for operand in range(len(self.operator.inputs))]

    def signature(self) -> Signature:
        """Of the operands that are there and the first result, as the file has them."""
        return Signature(
            tuple(self.values.type(index) for index in self.operator.inputs if index >= 0), (self.output_type(),)
        )

    def known(self, operand: int) -> Array | None:
        """The value of an operand, if it doesn't depend on the model's inputs."""
        return self.values.known(self._tensor(operand).index)

    def output(self) -> str:
        """The value of the only result."""
        return self.outputs(1)[0]

    def outputs(self, count: int) -> list[str]:
        """The values of all results."""
        found = len(self.operator.outputs)
        if found != count:
            raise self.fail(f"{found} results where there should be {'one' if count == 1 else count}")
        return [self.values.of(index) for index in self.operator.outputs]

    def declared(self) -> TensorType:
        """The type of the only result as the file says it, of one that is no value of its own."""
        if len(self.operator.outputs) != 1:
            raise self.fail(f"{len(self.operator.outputs)} results where there should be one")
        return self.values.type(self.operator.outputs[0])

    def output_dtype(self) -> DType | None:
        """The type of the first result's elements, as the file says it; None where that has no meaning here."""
        t = self.values.model.tensors[self.operator.outputs[0]].type if self.operator.outputs else None
        return None if t is None else t.dtype

    def output_type(self) -> TensorType:
        return self.values.builder.types[self.output()]

    def constant(self, operand: int, what: str) -> Array:
        """The value of an operand that has to be known now."""
        data = self.known(operand)
        if data is None:
            raise Rejected(f"{what} is computed at run time, supported is a constant")
        return data

    def integers(self, operand: int, what: str) -> list[int]:
        """A constant operand of integers, flattened."""
        values = self.constant(operand, what)
        if DType.find(values.dtype) not in (INT32, INT64):
            raise self.fail(f"{what} has the type {values.dtype.name}")
        return [int(value) for value in values.ravel()]

    def temporary(self, suffix: str, t: TensorType) -> str:
        """A value that the file doesn't have."""
        return self.values.builder.value(f"{self._named()}_{suffix}", t)

    def derived(self, suffix: str, t: TensorType, data: Array) -> str:
        """A constant that the file doesn't have in this form."""
        return self.values.builder.value(f"{self._named()}_{suffix}", t, None, data)

    def keep(self, before: str, after: str) -> None:
        """A state that the file doesn't name: what was `before` is `after` in the next step; it begins with zeros."""
        self.values.kept.append((before, after))

    def replaced(self, result: int) -> str:
        """A value for a result of which the runtime leaves elements undefined, so that nobody compares it."""
        index = self.operator.outputs[result]
        value = self.values.builder.value(self.values.model.tensors[index].name, self.values.type(index))
        self.values.bind(index, value)
        return value

    def _named(self) -> str:
        """The first result, which gives others their names."""
        if not self.operator.outputs:
            raise self.fail("it has no result")
        return self.values.of(self.operator.outputs[0])

    def emit(self, op: Op, inputs: Sequence[str], output: str | None = None) -> None:
        """Add a node that computes `output` (by default the operator's), if its operands make sense."""
        output = output or self.output()
        sig = self.values.builder.signature(inputs, [output])
        (found,) = self._inferred(op, sig)
        same = found.shape == sig.output.shape, found.dtype == sig.output.dtype
        if same == (False, True) and self._may_have(output, found.shape):
            if self.runtime == "tflm":
                raise Rejected(
                    f"its result is {found}; the file, written for a dynamic batch, says {list(sig.output.shape)}, and "
                    "TFLM takes its word, refuses the model or returns what isn't computed; --match litert computes it"
                )
            self.values.builder.retype(output, replace(sig.output, shape=found.shape))
        elif not all(same):
            raise self.fail(f"the result is {found}, the file says {sig.output}")
        self.values.builder.node(output, op, inputs, [output])

    def emit_all(self, op: Op, inputs: Sequence[str]) -> None:
        """As `emit`, of an operator with several results."""
        self.emit_into(op, inputs, [self.values.of(index) for index in self.operator.outputs])

    def emit_into(self, op: Op, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        """Add a node that computes these values, if its operands make sense."""
        sig = self.values.builder.signature(inputs, outputs)
        for found, t in zip(self._inferred(op, sig), sig.outputs, strict=True):
            if (found.shape, found.dtype) != (t.shape, t.dtype):
                raise self.fail(f"a result is {found}, the file says {t}")
        self.values.builder.node(outputs[0], op, inputs, outputs)

    def _inferred(self, op: Op, sig: Signature) -> tuple[TensorType, ...]:
        """The results of an operator that makes sense and can be compiled."""
        try:
            inferred = results_of(op, sig.inputs)
        except ImpossibleSizeError as error:
            raise Rejected(str(error)) from error
        except ValueError as error:
            raise self.fail(str(error)) from error
        if len(inferred) != len(sig.outputs):
            raise self.fail(f"{len(sig.outputs)} results where there should be {len(inferred)}")
        reason = op.unsupported(sig) or self._float_reason(op, sig)
        if reason is None and isinstance(op, Typed):
            reason = op.unscaled(sig)  # LiteRT has fewer types than ONNX
        if reason is not None:
            raise Rejected(reason)
        return inferred

    def fold(self, value: Array) -> None:
        """The operator's result is this."""
        y = self.values.type(self.operator.outputs[0])
        if len(self.operator.outputs) != 1 or (value.shape, value.dtype) != (y.shape, y.dtype.carrier):
            raise self.fail(f"the result is {value.dtype.name}{list(value.shape)}, the file says {y}")
        self.values.folded[self.operator.outputs[0]] = value

    def _float_reason(self, op: Op, sig: Signature) -> str | None:
        """Why an operator that computes in float32, not only moves, quantises or dequantises, isn't taken."""
        if not isinstance(op, Typed) or not sig.inputs or sig.input.dtype != FLOAT32:
            return None
        if self.operator not in self.values.computed_in_float:
            self.values.computed_in_float.append(self.operator)
        return None if self.values.floats else "it computes in float32, which --strict-int8 excludes"

    def _may_have(self, output: str, shape: tuple[int, ...]) -> bool:
        """Whether a shape is what a dynamic one became: the file has 1 for each size that wasn't known."""
        index = next((index for index in self.operator.outputs if self.values.of(index) == output), None)
        if index is None:
            return False
        signature = self.values.model.tensors[index].signature
        return (
            min(signature, default=0) < 0
            and len(signature) == len(shape)
            and all(wanted in (-1, n) for wanted, n in zip(signature, shape, strict=True))
        )

    def _tensor(self, operand: int, *, variable: bool = False) -> SourceTensor:
        if not self.has(operand):
            raise self.fail(f"operand {operand} is missing")
        self._read.add(operand)
        tensor = self.values.model.tensors[self.operator.inputs[operand]]
        if tensor.is_variable and not variable:
            raise Rejected(f"tensor {tensor.name!r} is a variable, which this operator can't have")
        return tensor


class Options:
    """Typed access to an operator's option table; fields are named as the `tflite` package does."""

    def __init__(self, scope: Scope, table: OptionTable) -> None:
        self._scope, self._table = scope, table
        if table.mismatch:
            raise Rejected(table.mismatch)

    def integer(self, field: str) -> int:
        value = self._table.read(field)
        return int(value) if not isinstance(value, tuple) else 0

    def real(self, field: str) -> float:
        value = self._table.read(field)
        return float(value) if not isinstance(value, tuple) else 0.0

    def flag(self, field: str) -> bool:
        return bool(self._table.read(field))

    def integers(self, field: str) -> tuple[int, ...]:
        """A vector; empty if it isn't there."""
        value = self._table.read(field)
        return value if isinstance(value, tuple) else ()

    def without_effect(self, *fields: str) -> None:
        """LiteRT doesn't read these for the types that the operator is compiled for."""
        for field in fields:
            self._table.read(field)

    def positive(self, rows: str, columns: str) -> tuple[int, int]:
        """A pair of lengths (rows, columns)."""
        pair = self.integer(rows), self.integer(columns)
        names = f"{schema_name(rows)} and {schema_name(columns)}"
        if min(pair) < 1:
            raise self._scope.fail(f"{names} are {pair}")
        if max(pair) > MAX_STEP:
            raise Rejected(f"{names} are {pair}, supported are {MAX_STEP}")
        return pair

    def reject_unread(self) -> None:
        """Whatever the importer didn't ask for must be as if it weren't there."""
        objection = self._table.objection()
        if objection is not None:
            raise Rejected(objection)


PACKED = (INT4, INT2)
"""Weights that share bytes in the file; the code has an int8 for each."""


def unpacked(scope: Scope, operand: int) -> str:
    """A constant operand, each element a byte where it is fewer bits in the file."""
    t = scope.input_type(operand)
    if t.dtype not in PACKED:
        return scope.input(operand)
    return scope.derived("weights", TensorType(t.shape, INT8, t.quant), scope.constant(operand, "the weight tensor"))


def resolved_shape(scope: Scope, shape: Sequence[int], elements: int) -> tuple[int, ...]:
    """A shape of which one size may be -1, which stands for whatever is left."""
    if list(shape).count(-1) == 1:
        known = prod(n for n in shape if n != -1)
        shape = [elements // known if n == -1 and known > 0 else n for n in shape]
    if any(n < 0 for n in shape):
        raise scope.fail(f"the shape {list(shape)}")
    return tuple(shape)
