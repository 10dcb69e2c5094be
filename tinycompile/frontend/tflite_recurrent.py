"""Layers that go through a sequence, and keep their states in variables of the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, INT64, DType
from tinycompile.frontend.tflite_options import schema_name
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops._recurrent import IDENTITY, SIGMOID, TANH, Activation
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.lstm import NOT_OF_16_BITS, Lstm
from tinycompile.ops.rnn import Rnn
from tinycompile.ops.svdf import Svdf

_FUNCTIONS = {
    tflite.ActivationFunctionType.RELU: Activation("relu"),
    tflite.ActivationFunctionType.RELU6: Activation("relu6"),
    tflite.ActivationFunctionType.TANH: TANH,
}

"""Of a gate. Without one LiteRT leaves it undefined: nothing copies it to where it is read."""

_FLOAT_FUNCTIONS = {tflite.ActivationFunctionType.NONE: IDENTITY, **_FUNCTIONS}


def activation(scope: Scope, functions: Mapping[int, Activation] = _FUNCTIONS) -> Activation:
    """The function that the options name."""
    number = scope.options.integer("FusedActivationFunction")
    if number not in functions:
        raise Rejected(f"its option fused_activation_function is {number}, supported are {list(functions)}")
    return functions[number]


def stacked(scope: Scope, suffix: str, operands: Sequence[int]) -> str:
    """Constant operands one below the other, with a scale for each row where they have scales."""
    values = [scope.constant(operand, f"the {suffix}") for operand in operands]
    types = [scope.input_type(operand) for operand in operands]
    if len({(value.shape[1:], t.dtype) for value, t in zip(values, types, strict=True)}) != 1:
        raise scope.fail(f"the {suffix} of its gates have different shapes or types: {', '.join(map(str, types))}")
    data = np.concatenate(values)
    return scope.derived(suffix.replace(" ", "_"), TensorType(data.shape, types[0].dtype, _rows(values, types)), data)


def _rows(values: Sequence[Array], types: Sequence[TensorType]) -> Quantization | None:
    """A scale for each row."""
    if types[0].dtype not in (INT8, INT16):
        return None
    scales, zeros = list[Array](), list[Array]()
    for value, t in zip(values, types, strict=True):
        if t.quant is None or not t.quant.is_per_tensor:
            raise Rejected("weights of a gate have no scale, or several; supported is one")
        scales.append(np.repeat(t.quant.scale, len(value)))
        zeros.append(np.repeat(t.quant.zero_point, len(value)))
    return Quantization(np.concatenate(scales), np.concatenate(zeros), 0)


def zeros(scope: Scope, suffix: str, rows: int, dtype: DType) -> str:
    """A bias that isn't there."""
    return scope.derived(suffix, TensorType((rows,), dtype), np.zeros(rows, dtype.carrier))


@dataclass(frozen=True)
class _Operands:
    """Where the operands of a long short-term memory are; those of gates in the order input, forget, cell, output."""

    of_x: range
    of_h: range
    of_cell: range
    bias: range
    projection: int
    projection_bias: int
    h: int
    c: int
    norm: range


_FORWARD = _Operands(range(1, 5), range(5, 9), range(9, 12), range(12, 16), 16, 17, 18, 19, range(20, 24))
_BOTH = (
    _Operands(range(1, 5), range(5, 9), range(9, 12), range(12, 16), 16, 17, 35, 36, range(0)),
    _Operands(range(18, 22), range(22, 26), range(26, 29), range(29, 33), 33, 34, 37, 38, range(0)),
)
_AUXILIARY = range(39, 48)
_HIDDEN = 4
"""The number of the intermediate tensor that says how output gate * tanh(cell) is quantised."""


@importer("UNIDIRECTIONAL_SEQUENCE_LSTM", options=tflite.UnidirectionalSequenceLSTMOptions, versions=4)
def unidirectional_sequence_lstm(scope: Scope) -> None:
    options = scope.options
    if options.flag("DiagonalRecurrentTensors"):
        raise Rejected("its option diagonal_recurrent_tensors is true, supported are matrices")
    _emit_lstm(scope, _FORWARD, scope.output(), time_major=options.flag("TimeMajor"))


@importer("BIDIRECTIONAL_SEQUENCE_LSTM", options=tflite.BidirectionalSequenceLSTMOptions, versions=3)
def bidirectional_sequence_lstm(scope: Scope) -> None:
    """float32, without auxiliary inputs: UNIDIRECTIONAL_SEQUENCE_LSTM in both directions."""
    if scope.input_type().dtype != FLOAT32:
        raise Rejected(f"its input is {scope.input_type().dtype}, supported is float32")
    if any(map(scope.has, _AUXILIARY)):
        raise Rejected("it has auxiliary inputs")
    time_major, batch = scope.options.flag("TimeMajor"), _length(scope, 0, 0)
    if scope.options.flag("MergeOutputs") and not time_major and batch > 1:
        raise Rejected(
            "merge_outputs of several sequences that aren't time_major: LiteRT takes other states for theirs"
        )

    def emit(direction: int, output: str) -> None:
        prefix, backward = ("forward ", "backward ")[direction], direction == 1
        _emit_lstm(scope, _BOTH[direction], output, time_major=time_major, backward=backward, prefix=prefix)

    sizes = [_length(scope, own.of_h[1], -1) for own in _BOTH]
    _both_directions(scope, sizes, emit)


def _length(scope: Scope, operand: int, axis: int) -> int:
    """Of an operand along its first or last axis."""
    shape = scope.input_type(operand).shape
    if not shape:
        raise scope.fail(f"operand {operand} has no axes")
    return shape[axis]


def _both_directions(scope: Scope, sizes: Sequence[int], emit: Callable[[int, str], None]) -> None:
    """The results of a layer in both directions: one behind the other along the last axis, or each for itself.

    Args:
        sizes: of the last axis of each. emit: adds the layer of a direction, with its result.
    """
    if not scope.options.flag("MergeOutputs"):
        if len(scope.operator.outputs) != 2:
            raise scope.fail(f"its option merge_outputs is false, and it has {len(scope.operator.outputs)} results")
        for direction, output in enumerate(scope.outputs(2)):
            emit(direction, output)
        return
    shape, parts = scope.output_type().shape, list[str]()
    for direction, size in enumerate(sizes):
        parts.append(scope.temporary(("forward", "backward")[direction], TensorType((*shape[:-1], size), FLOAT32)))
        emit(direction, parts[-1])
    scope.emit(Concatenation(len(shape) - 1), parts)


def _emit_lstm(
    scope: Scope, own: _Operands, output: str, *, time_major: bool, backward: bool = False, prefix: str = ""
) -> None:
    """The layer with these operands, whose states are variables."""
    options, x = scope.options, scope.input_type()
    # LiteRT's integers are always behind a hyperbolic tangent.
    function = TANH if x.dtype == INT8 and scope.runtime == "litert" else activation(scope)
    options.without_effect("FusedActivationFunction")
    options.without_effect("AsymmetricQuantizeInputs")  # of float activations times integers
    coupled, normal = not scope.has(own.of_x[0]), any(map(scope.has, own.norm))
    peephole, projection = scope.has(own.of_cell[1]), scope.has(own.projection)
    gates = slice(1 if coupled else 0, None)
    weights = scope.input_type(own.of_x[1])
    if weights.dtype == INT8 and x.dtype == FLOAT32:
        raise Rejected("its weights are int8 and its input float32; quantise the activations, too")
    hidden = scope.intermediate(_HIDDEN)
    quantized = x.dtype == INT8 and hidden is not None and hidden.quant is not None and scope.runtime == "litert"
    op = Lstm(
        time_major=time_major,
        backward=backward,
        coupled="input" if coupled else "",
        peephole=peephole,
        projection=projection,
        normalised=normal,
        activations=(SIGMOID, function, function),
        cell_clip=_bound(scope, "CellClip"),
        projection_clip=_bound(scope, "ProjClip"),
        gate_scales=_gate_scales(scope, gates) if normal and x.dtype == INT8 else (),
        hidden=(hidden.scale, hidden.zero_point) if quantized and hidden is not None else None,
        runtime="tflm" if x.dtype == INT16 else "litert" if x.dtype == FLOAT32 else scope.runtime,
    )
    operands = [scope.input(), scope.state(own.h), scope.state(own.c)]
    operands.append(stacked(scope, f"{prefix}weights", own.of_x[gates]))
    operands.append(stacked(scope, f"{prefix}recurrent weights", own.of_h[gates]))
    operands.append(stacked(scope, f"{prefix}bias", own.bias[gates]))
    if peephole:
        operands.append(stacked(scope, f"{prefix}peephole weights", own.of_cell[gates]))
    if projection:
        operands.append(scope.input(own.projection))
        bias = INT32 if x.dtype == INT8 else INT64 if x.dtype == INT16 else FLOAT32
        outputs = scope.input_type(own.projection).shape[0]
        there = scope.has(own.projection_bias)
        name = f"{prefix.strip()}_projection_bias".strip("_")
        operands.append(scope.input(own.projection_bias) if there else zeros(scope, name, outputs, bias))
        scope.constant(own.projection, "the projection")
    if normal:
        if x.dtype == INT16:
            raise Rejected(NOT_OF_16_BITS)
        operands.append(stacked(scope, f"{prefix}factors", own.norm[gates]))
    scope.emit_into(op, operands, [output, scope.store(own.h), scope.store(own.c)])


def _gate_scales(scope: Scope, gates: slice) -> tuple[float, ...]:
    """Of gates in front of their normalisation, which the first inner values say."""
    found = [scope.intermediate(number) for number in range(_HIDDEN)[gates]]
    if any(t is None or t.quant is None or not t.quant.is_per_tensor for t in found):
        raise Rejected("its gates are normalised, and its intermediates don't say a scale for each")
    return tuple(t.scale for t in found if t is not None)


def _bound(scope: Scope, field: str) -> float:
    value = scope.options.real(field)
    if not value >= 0:
        raise scope.fail(f"its option {schema_name(field)} is {value}")
    return value


@importer("SVDF", options=tflite.SVDFOptions, versions=4)
def svdf(scope: Scope) -> None:
    """Operands: the input, weights of the input, weights of its results, a bias or none, the state."""
    options, x = scope.options, scope.input_type()
    rank = options.integer("Rank")
    options.without_effect("AsymmetricQuantizeInputs")  # of float activations times integers
    if scope.input_type(1).dtype != x.dtype:
        raise Rejected(f"its weights are {scope.input_type(1).dtype} and its input {x.dtype}")
    function = IDENTITY
    if x.dtype == FLOAT32:
        function = activation(scope, _FLOAT_FUNCTIONS)
    else:
        _demand_relu(scope)
    weights, times = scope.constant(1, "the weight tensor"), scope.constant(2, "the weight tensor")
    units = len(weights) // max(rank, 1)
    bias = INT32 if x.dtype == INT8 else FLOAT32
    own = scope.input(3) if scope.has(3) else zeros(scope, "bias", units, bias)
    if scope.has(3):
        scope.constant(3, "the bias")
    operands = [scope.input(), scope.state(4), scope.input(1), scope.input(2), own]
    if times.ndim != 2 or weights.ndim != 2:
        raise scope.fail("its weights are no matrices")
    scope.emit_into(Svdf(rank, function), operands, [scope.output(), scope.store(4)])


def _demand_relu(scope: Scope) -> None:
    """LiteRT's integers have no activation, and its kernel refuses every one but RELU."""
    number = scope.options.integer("FusedActivationFunction")
    if number != tflite.ActivationFunctionType.RELU:
        raise Rejected(
            f"its option fused_activation_function is {number}, of integers LiteRT takes RELU, and applies none"
        )


@importer("UNIDIRECTIONAL_SEQUENCE_RNN", options=tflite.SequenceRNNOptions, versions=3)
def unidirectional_sequence_rnn(scope: Scope) -> None:
    """float32: a layer without gates."""
    _emit_rnn(scope, (1, 2, 3, 4), scope.output(), time_major=scope.options.flag("TimeMajor"))


@importer("RNN", options=tflite.RNNOptions, versions=3)
def rnn(scope: Scope) -> None:
    """float32: one step of a layer without gates."""
    _emit_rnn(scope, (1, 2, 3, 4), scope.output(), time_major=True)


@importer("BIDIRECTIONAL_SEQUENCE_RNN", options=tflite.BidirectionalSequenceRNNOptions, versions=3)
def bidirectional_sequence_rnn(scope: Scope) -> None:
    """float32, without auxiliary inputs: UNIDIRECTIONAL_SEQUENCE_RNN in both directions."""
    if any(map(scope.has, range(9, 12))):
        raise Rejected("it has auxiliary inputs")
    time_major, own = scope.options.flag("TimeMajor"), ((1, 2, 3, 4), (5, 6, 7, 8))

    def emit(direction: int, output: str) -> None:
        _emit_rnn(scope, own[direction], output, time_major=time_major, backward=direction == 1)

    _both_directions(scope, [_length(scope, operands[0], 0) for operands in own], emit)


def _emit_rnn(
    scope: Scope, own: tuple[int, int, int, int], output: str, *, time_major: bool, backward: bool = False
) -> None:
    """Weights of the input and of the state, bias and state are these operands."""
    x, w, r, bias = scope.input_type(), own[0], own[1], own[2]
    if scope.input_type(w).dtype != x.dtype:
        raise Rejected(f"its weights are {scope.input_type(w).dtype} and its input {x.dtype}")
    scope.options.without_effect("AsymmetricQuantizeInputs")  # of float activations times integers
    op = Rnn(time_major, backward, activation=activation(scope, _FLOAT_FUNCTIONS))
    for operand in (w, r, bias):
        scope.constant(operand, "a weight tensor")
    operands = [scope.input(), scope.state(own[3]), scope.input(w), scope.input(r), scope.input(bias)]
    scope.emit_into(op, operands, [output, scope.store(own[3])])
