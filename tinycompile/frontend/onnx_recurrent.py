"""ONNX's layers that go through a sequence: LSTM, GRU and RNN, in float32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.frontend.onnx_discrete import constant
from tinycompile.frontend.onnx_float import float_importer, tensor
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Known, Placed, Real, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array
from tinycompile.ops._recurrent import DEFAULTS, Activation, Function, Recurrent
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.gru import Gru
from tinycompile.ops.lstm import Lstm
from tinycompile.ops.rnn import Rnn
from tinycompile.ops.slice import Slice

_FUNCTIONS: dict[str, Function] = {
    "affine": "affine",
    "elu": "elu",
    "hardsigmoid": "hard_sigmoid",
    "leakyrelu": "leaky_relu",
    "relu": "relu",
    "scaledtanh": "scaled_tanh",
    "sigmoid": "sigmoid",
    "softplus": "softplus",
    "softsign": "softsign",
    "tanh": "tanh",
    "thresholdedrelu": "thresholded_relu",
}
"""By ONNX's name in lower case."""

_WITH_BETA = ("affine", "hard_sigmoid", "scaled_tanh")
_DIRECTIONS = {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}
_WEIGHTS, _RECURRENT, _BIAS, _LENGTHS = 1, 2, 3, 4
_STATES = (5, 6)
_PEEPHOLES = 7


@dataclass(frozen=True, eq=False)
class _Layer:
    """A node's sizes.

    Attributes:
        batch_first: whether a sequence, and results, begin with the axis of the batch.
        directions: of each direction whether it is backward.
    """

    x: Placed
    steps: int
    batch: int
    hidden: int
    batch_first: bool
    directions: tuple[bool, ...]
    lengths: tuple[int, ...] | None

    @staticmethod
    def of(scope: Scope) -> _Layer:
        x = scope.plain(tensor(scope))
        batch_first = bool(scope.attribute("layout", 0))
        if len(x.shape) != 3:
            raise Rejected(f"its sequence has {len(x.shape)} axes, supported are 3")
        steps, batch = (x.shape[1], x.shape[0]) if batch_first else x.shape[:2]
        direction = str(scope.attribute("direction", "forward"))
        if direction not in _DIRECTIONS:
            raise Rejected(f"its direction is {direction!r}")
        hidden = scope.constant(_RECURRENT, "the recurrent weight").shape[-1]
        if int(scope.attribute("hidden_size", hidden)) != hidden:
            raise Rejected("hidden_size isn't that of its weights")
        lengths = tuple(scope.integers(_LENGTHS, "the lengths")) if scope.has(_LENGTHS) else None
        if lengths is not None and 0 in lengths:
            raise Rejected("a sequence has no steps, of which onnxruntime gives other states than onnx")
        if lengths is not None and all(length == steps for length in lengths):
            lengths = None
        return _Layer(x, steps, batch, hidden, batch_first, _DIRECTIONS[direction], lengths)

    def fields(self, direction: int) -> dict[str, object]:
        """Of `Recurrent`."""
        return {"time_major": not self.batch_first, "backward": self.directions[direction], "lengths": self.lengths}


def _activations(scope: Scope, defaults: Sequence[str], directions: int) -> list[list[Activation]]:
    """Of each direction; those that have parameters take the next of the node's lists, while there are some."""
    given = scope.attribute("activations", None) or list(defaults) * directions
    names = [name.decode() if isinstance(name, bytes) else str(name) for name in given]
    alphas, betas = (list(scope.attribute(f"activation_{name}", None) or []) for name in ("alpha", "beta"))
    if len(names) != len(defaults) * directions:
        raise Rejected(f"it has {len(names)} activations, {len(defaults) * directions} are wanted")
    found = list[Activation]()
    for name in names:
        function = _FUNCTIONS.get(name.lower())
        if function is None:
            raise Rejected(f"its activation {name} is unknown")
        alpha, beta = DEFAULTS.get(function, (0.0, 0.0))
        alpha = float(alphas.pop(0)) if function in DEFAULTS and alphas else alpha
        beta = float(betas.pop(0)) if function in _WITH_BETA and betas else beta
        found.append(Activation(function, alpha, beta))
    return [found[i : i + len(defaults)] for i in range(0, len(found), len(defaults))]


def _biases(scope: Scope, layer: _Layer, gates: int) -> tuple[Array, Array]:
    """(of the products of x, of those of h), each (directions, rows)."""
    if not scope.has(_BIAS):
        none = np.zeros((len(layer.directions), gates * layer.hidden), np.float32)
        return none, none
    both = scope.constant(_BIAS, "the bias")
    return both[:, : gates * layer.hidden], both[:, gates * layer.hidden :]


def _state(scope: Scope, layer: _Layer, operand: int, direction: int) -> str:
    """A direction's (batch, hidden) of an initial state; zeros where there is none."""
    shape = (layer.batch, layer.hidden)
    if not scope.has(operand):
        return constant(scope, np.zeros(shape, np.float32))
    value, axis = scope.value(operand), 1 if layer.batch_first else 0
    if isinstance(value, Known):
        return constant(scope, np.take(value.array, direction, axis).astype(np.float32))
    at = scope.plain(tensor(scope, operand))
    if len(layer.directions) > 1:
        own = Slice.of_axis(at.shape, axis, direction, 1)
        at = scope.move(at, own, own.size)
    return scope.reshaped(at, shape, shape, identity(2)).name


def _run(
    scope: Scope, states: int, defaults: Sequence[str], make: Callable[[_Layer, int, list[Activation]], _Direction]
) -> None:
    """The node's results, of all its directions."""
    layer = _Layer.of(scope)
    activations = _activations(scope, defaults, len(layer.directions))
    found = list[list[str]]()
    for direction, functions in enumerate(activations):
        own = make(layer, direction, functions)
        initial = [_state(scope, layer, operand, direction) for operand in _STATES[:states]]
        names = [f"{scope.name}_{direction}_{result}" for result in range(1 + states)]
        operands = [layer.x.name, *initial, *own.operands]
        found.append(scope.state.emit_several(own.op, operands, names, [None] * (1 + states)))
    for output in range(1 + states):
        if output < len(scope.node.output) and scope.node.output[output]:
            scope.set(Real(_joined(scope, layer, [results[output] for results in found], output)), output)


@dataclass(frozen=True, eq=False)
class _Direction:
    """An operator, and the names of its constant operands."""

    op: Recurrent
    operands: list[str]


def _joined(scope: Scope, layer: _Layer, results: Sequence[str], output: int) -> Placed:
    """The results of all directions as ONNX has them, with an axis of directions."""
    axes = (layer.batch, layer.hidden) if output else scope.state.builder.types[results[0]].shape
    at = (2 if output == 0 else 1) if layer.batch_first else 1 - min(output, 1)
    shape = (*axes[:at], 1, *axes[at:])
    parts = [
        scope.reshaped(Placed(name, axes, identity(len(axes))), shape, shape, identity(len(shape))) for name in results
    ]
    if len(parts) == 1:
        return parts[0]
    whole = (*axes[:at], len(parts), *axes[at:])
    names = [part.name for part in parts]
    result = scope.state.emit(Concatenation(at), names, f"{scope.node.output[output]}_joined", None)
    return Placed(result, whole, identity(len(whole)))


def _clip(scope: Scope) -> float:
    return float(scope.attribute("clip", None) or 0.0)


@float_importer("LSTM")
def _lstm(scope: Scope) -> None:
    """As RNN; with peepholes and coupled gates."""
    clip, coupled = _clip(scope), bool(scope.attribute("input_forget", 0))
    order = (0, 3, 1) if coupled else (0, 2, 3, 1)

    def make(layer: _Layer, direction: int, functions: list[Activation]) -> _Direction:
        w, r = (scope.constant(i, "the weight")[direction] for i in (_WEIGHTS, _RECURRENT))
        of_x, of_h = (bias[direction] for bias in _biases(scope, layer, 4))
        kept = [[np.split(value, 4)[gate] for gate in order] for value in (w, r, of_x + of_h)]
        operands = [constant(scope, np.concatenate(parts).astype(np.float32)) for parts in kept]
        if scope.has(_PEEPHOLES):
            looks = np.split(scope.constant(_PEEPHOLES, "the peephole weight")[direction], 3)
            gates = (0, 1) if coupled else (0, 2, 1)
            operands.append(constant(scope, np.concatenate([looks[gate] for gate in gates]).astype(np.float32)))
        gate, before, behind = functions
        op = Lstm(
            coupled="forget" if coupled else "",
            peephole=scope.has(_PEEPHOLES),
            activations=(gate, before, behind),
            gate_clip=clip,
        )
        return _Direction(replace(op, **layer.fields(direction)), operands)  # pyright: ignore[reportArgumentType]

    _run(scope, 2, ("Sigmoid", "Tanh", "Tanh"), make)


@float_importer("GRU")
def _gru(scope: Scope) -> None:
    """As RNN; the reset gate in front of or behind the products of the state."""
    clip, after = _clip(scope), bool(scope.attribute("linear_before_reset", 0))

    def make(layer: _Layer, direction: int, functions: list[Activation]) -> _Direction:
        w, r = (scope.constant(i, "the weight")[direction] for i in (_WEIGHTS, _RECURRENT))
        biases = (bias[direction] for bias in _biases(scope, layer, 3))
        operands = [constant(scope, value.astype(np.float32)) for value in (w, r, *biases)]
        op = Gru(reset_after=after, activations=(functions[0], functions[1]), gate_clip=clip)
        return _Direction(replace(op, **layer.fields(direction)), operands)  # pyright: ignore[reportArgumentType]

    _run(scope, 1, ("Sigmoid", "Tanh"), make)


@float_importer("RNN")
def _rnn(scope: Scope) -> None:
    """Constant weights and lengths, any directions and activations, states given or not."""
    clip = _clip(scope)

    def make(layer: _Layer, direction: int, functions: list[Activation]) -> _Direction:
        w, r = (scope.constant(i, "the weight")[direction] for i in (_WEIGHTS, _RECURRENT))
        of_x, of_h = (bias[direction] for bias in _biases(scope, layer, 1))
        operands = [constant(scope, value.astype(np.float32)) for value in (w, r, of_x + of_h)]
        op = Rnn(activation=functions[0], gate_clip=clip)
        return _Direction(replace(op, **layer.fields(direction)), operands)  # pyright: ignore[reportArgumentType]

    _run(scope, 1, ("Tanh",), make)
