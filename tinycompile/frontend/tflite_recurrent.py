"""Layers that go through a sequence, and keep their states in variables of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32, INT64, DType
from tinycompile.frontend.tflite_options import schema_name
from tinycompile.frontend.tflite_registry import importer
from tinycompile.frontend.tflite_schema import tflite
from tinycompile.frontend.tflite_scope import Rejected, Scope
from tinycompile.ir import Array, Quantization, TensorType
from tinycompile.ops._recurrent import IDENTITY, SIGMOID, TANH, Activation
from tinycompile.ops.lstm import Lstm
from tinycompile.ops.svdf import Svdf

_FUNCTIONS = {
    tflite.ActivationFunctionType.RELU: Activation("relu"),
    tflite.ActivationFunctionType.RELU6: Activation("relu6"),
    tflite.ActivationFunctionType.TANH: TANH,
}

"""Of a gate. Without one LiteRT leaves it undefined: nothing copies it to where it is read."""

_FLOAT_FUNCTIONS = {tflite.ActivationFunctionType.NONE: IDENTITY, **_FUNCTIONS}

# Operands of both long short-term memories; each of a gate in the order input, forget, cell, output.
_OF_X, _OF_H, _OF_CELL, _BIAS = range(1, 5), range(5, 9), range(9, 12), range(12, 16)
_PROJECTION, _PROJECTION_BIAS, _H, _C, _NORM = 16, 17, 18, 19, range(20, 24)
_HIDDEN = 4
"""The number of the intermediate tensor that says how output gate * tanh(cell) is quantised."""


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


@importer("UNIDIRECTIONAL_SEQUENCE_LSTM", options=tflite.UnidirectionalSequenceLSTMOptions, versions=4)
def unidirectional_sequence_lstm(scope: Scope) -> None:
    options = scope.options
    if options.flag("DiagonalRecurrentTensors"):
        raise Rejected("its option diagonal_recurrent_tensors is true, supported are matrices")
    emit_lstm(scope, time_major=options.flag("TimeMajor"))


def emit_lstm(scope: Scope, *, time_major: bool) -> None:
    """The layer of 20 or 24 operands, whose states are variables."""
    options, x = scope.options, scope.input_type()
    # LiteRT's integers are always behind a hyperbolic tangent.
    function = TANH if x.dtype == INT8 and scope.runtime == "litert" else activation(scope)
    options.without_effect("FusedActivationFunction")
    options.without_effect("AsymmetricQuantizeInputs")  # of float activations times integers
    if any(map(scope.has, _NORM)):
        raise Rejected("its gates are normalised (layer normalisation)")
    coupled = not scope.has(_OF_X[0])
    peephole, projection = scope.has(_OF_CELL[1]), scope.has(_PROJECTION)
    gates = slice(1 if coupled else 0, None)
    weights = scope.input_type(_OF_X[1])
    if weights.dtype == INT8 and x.dtype == FLOAT32:
        raise Rejected("its weights are int8 and its input float32; quantise the activations, too")
    hidden = scope.intermediate(_HIDDEN)
    quantized = x.dtype == INT8 and hidden is not None and hidden.quant is not None and scope.runtime == "litert"
    op = Lstm(
        time_major=time_major,
        coupled="input" if coupled else "",
        peephole=peephole,
        projection=projection,
        activations=(SIGMOID, function, function),
        cell_clip=_bound(scope, "CellClip"),
        projection_clip=_bound(scope, "ProjClip"),
        hidden=(hidden.scale, hidden.zero_point) if quantized and hidden is not None else None,
        runtime="tflm" if x.dtype == INT16 else "litert" if x.dtype == FLOAT32 else scope.runtime,
    )
    operands = [scope.input(), scope.state(_H), scope.state(_C)]
    operands += [stacked(scope, "weights", _OF_X[gates]), stacked(scope, "recurrent weights", _OF_H[gates])]
    operands.append(stacked(scope, "bias", _BIAS[gates]))
    if peephole:
        operands.append(stacked(scope, "peephole weights", _OF_CELL[gates]))
    if projection:
        operands.append(scope.input(_PROJECTION))
        bias = INT32 if x.dtype == INT8 else INT64 if x.dtype == INT16 else FLOAT32
        outputs = scope.input_type(_PROJECTION).shape[0]
        there = scope.has(_PROJECTION_BIAS)
        operands.append(scope.input(_PROJECTION_BIAS) if there else zeros(scope, "projection_bias", outputs, bias))
        scope.constant(_PROJECTION, "the projection")
    scope.emit_into(op, operands, [scope.output(), scope.store(_H), scope.store(_C)])


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
