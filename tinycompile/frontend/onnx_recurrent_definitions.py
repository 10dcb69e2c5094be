"""LSTM, GRU and RNN whose weights or lengths are computed at run time: every step in terms of MatMul.

With constant weights they are layers of their own (`onnx_recurrent.py`), which stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_definitions import Definition, Steps, definition
from tinycompile.frontend.onnx_rewrite import Rewriting
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ops._recurrent import DEFAULTS, Function

MOST_NODES = 4000
"""That a layer is written out as."""
_WEIGHTS, _RECURRENT, _BIAS, _LENGTHS, _STATE, _CELL, _PEEPHOLES = range(1, 8)
_PLAIN = {
    "elu": "Elu",
    "hardsigmoid": "HardSigmoid",
    "leakyrelu": "LeakyRelu",
    "relu": "Relu",
    "sigmoid": "Sigmoid",
    "softplus": "Softplus",
    "softsign": "Softsign",
    "tanh": "Tanh",
    "thresholdedrelu": "ThresholdedRelu",
}
"""ONNX's operators by the name of an activation in lower case."""
_PARAMETERS: dict[str, tuple[Function, bool]] = {
    "affine": ("affine", True),
    "elu": ("elu", False),
    "hardsigmoid": ("hard_sigmoid", True),
    "leakyrelu": ("leaky_relu", False),
    "scaledtanh": ("scaled_tanh", True),
    "thresholdedrelu": ("thresholded_relu", False),
}
"""Of those with an alpha whether they have a beta, too."""

Apply = Callable[[str], str]
"""An activation: adds its nodes to a value's."""


@dataclass(eq=False)
class _Layer:
    """A node that is written out.

    Attributes:
        gates: of a cell.
    """

    step: Definition
    do: Steps
    gates: int

    @cached_property
    def batch_first(self) -> bool:
        return bool(self.step.take("layout", 0))

    @cached_property
    def sizes(self) -> tuple[int, int, int]:
        """(steps, batch, hidden)."""
        first, second, _ = self.step.shape(0)
        steps, batch = (second, first) if self.batch_first else (first, second)
        return steps, batch, self.step.shape(_RECURRENT)[-1]

    @cached_property
    def directions(self) -> tuple[bool, ...]:
        """Of each whether it is backward."""
        name = self.step.take("direction", b"forward").decode()
        return {"forward": (False,), "reverse": (True,), "bidirectional": (False, True)}[name]

    def operand(self, number: int) -> str:
        return self.step.node.input[number]

    def of_direction(self, operand: int, direction: int, axis: int = 0) -> str:
        return self.do("Gather", self.operand(operand), self.step.indices("direction", direction), axis=axis)

    def reshaped(self, x: str, *shape: int) -> str:
        return self.do("Reshape", x, self.step.indices("shape", list(shape)))

    def state(self, operand: int, direction: int) -> str:
        """(batch, hidden) of a direction before the first step."""
        _, batch, hidden = self.sizes
        if not self.step.has(operand):
            return self.step.like("zeros", np.zeros((batch, hidden)))
        return self.of_direction(operand, direction, 1 if self.batch_first else 0)

    def biases(self, direction: int) -> tuple[str, str] | None:
        """(of the products of x, of those of h), (gates, hidden) each."""
        if not self.step.has(_BIAS):
            return None
        hidden = self.sizes[2]
        both = self.reshaped(self.of_direction(_BIAS, direction), 2, self.gates, hidden)
        first, second = (self.do("Gather", both, self.step.indices("half", half), axis=0) for half in (0, 1))
        return first, second

    def product(self, x: str, weights: str, bias: str | None) -> str:
        """(batch, gates, hidden): x times the transposed weights, plus the bias."""
        _, batch, hidden = self.sizes
        rows = self.reshaped(self.do("MatMul", x, weights), batch, self.gates, hidden)
        return rows if bias is None else self.do("Add", rows, bias)

    def gate(self, rows: str, number: int) -> str:
        """One of the gates, (batch, hidden)."""
        return self.do("Gather", rows, self.step.indices("gate", number), axis=1)

    def clipped(self, x: str, clip: float) -> str:
        if not clip:
            return x
        low, high = (self.step.like("clip", limit) for limit in (-clip, clip))
        return self.do("Max", self.do("Min", x, high), low)


@dataclass(frozen=True, eq=False)
class _Weights:
    """Of a direction: transposed, (inputs, gates * hidden) and (hidden, gates * hidden); their biases."""

    of_x: str
    of_h: str
    bias_x: str | None
    bias_h: str | None


Cell = Callable[[_Layer, _Weights, int, list[Apply], str, list[str]], list[str]]
"""The states after a step (h first), of the input of the step and those before."""


def _is_computed(step: Definition, operands: Sequence[int]) -> bool:
    """Whether some operands depend on the model's inputs."""
    graph = step.model.graph
    computed = {value.name for value in graph.input}.difference(i.name for i in graph.initializer)
    for node in graph.node:
        if computed.intersection(node.input):
            computed.update(node.output)
    return any(step.has(operand) and step.node.input[operand] in computed for operand in operands)


def activations(
    step: Rewriting,
    do: Callable[..., str],
    constant: Callable[[str, float], str],
    directions: int,
    defaults: Sequence[str],
) -> list[list[Apply]]:
    """Of each direction, by the node's attributes, which are taken.

    Args:
        do: adds a node to those of a layer, the name of its result. constant: one of a stem and a number.
        defaults: of one direction.

    Raises:
        Rejected: there are too many or too few, or one is unknown.
    """
    count = len(defaults) * directions
    given: list[bytes] = step.take("activations", None) or []
    names = [name.decode() for name in given] or [*defaults] * directions
    alphas: list[float] = list(step.take("activation_alpha", None) or [])
    betas: list[float] = list(step.take("activation_beta", None) or [])
    if len(names) != count:
        raise Rejected(f"it has {len(names)} activations, {count} are wanted")
    found = [_activation(do, constant, name, alphas, betas) for name in names]
    return [found[i : i + len(defaults)] for i in range(0, count, len(defaults))]


def _activation(
    do: Callable[..., str], constant: Callable[[str, float], str], name: str, alphas: list[float], betas: list[float]
) -> Apply:
    kind, values = name.lower(), dict[str, float]()
    if kind in _PARAMETERS:
        function, has_beta = _PARAMETERS[kind]
        alpha, beta = DEFAULTS[function]
        values["alpha"] = float(alphas.pop(0)) if alphas else alpha
        if has_beta:
            values["beta"] = float(betas.pop(0)) if betas else beta
    if kind in _PLAIN:
        return lambda x: do(_PLAIN[kind], x, **values)

    def scaled(x: str) -> str:
        alpha, beta = (constant(name, value) for name, value in values.items())
        if kind == "affine":
            return do("Add", do("Mul", x, alpha), beta)
        return do("Mul", do("Tanh", do("Mul", x, beta)), alpha)

    if kind not in _PARAMETERS:
        raise Rejected(f"its activation {name} is unknown")
    return scaled


def _written_out(step: Definition, gates: int, states: int, defaults: Sequence[str], cell: Cell) -> list[Any]:
    """The node as its steps; none where it is a layer of its own."""
    if not _is_computed(step, [_WEIGHTS, _RECURRENT, _BIAS, _LENGTHS, _PEEPHOLES]):
        return []
    layer = _Layer(step, Steps(step), gates)
    do, (steps, _, _) = layer.do, layer.sizes
    step.take("hidden_size", 0)
    functions = activations(step, do, step.like, len(layer.directions), defaults)
    clip = float(step.take("clip", None) or 0.0)
    x = do.transpose(layer.operand(0), (1, 0, 2) if layer.batch_first else (0, 1, 2))
    if steps * len(layer.directions) * 8 * gates > MOST_NODES:
        raise Rejected(f"its weights are computed at run time, and it has {steps} steps; make the weights constant")
    rows, last = list[list[str]](), list[list[str]]()
    for direction, backward in enumerate(layer.directions):
        matrices = [do("Transpose", layer.of_direction(o, direction), perm=[1, 0]) for o in (_WEIGHTS, _RECURRENT)]
        weights = _Weights(matrices[0], matrices[1], *(layer.biases(direction) or (None, None)))
        own = [_behind_clip(layer, apply, clip) for apply in functions[direction]]
        if states == 2:  # the last function of LSTM has the cell for its operand, which isn't clipped
            own[2] = functions[direction][2]
        before, each = [layer.state(o, direction) for o in (_STATE, _CELL)[:states]], dict[int, str]()
        for place in reversed(range(steps)) if backward else range(steps):
            now = do("Gather", x, step.indices("step", place), axis=0)
            after = cell(layer, weights, direction, own, now, before)
            before, each[place] = _within_length(layer, place, before, after)
        rows.append([each[place] for place in range(steps)])
        last.append(before)
    return _results(layer, rows, last)


def _behind_clip(layer: _Layer, apply: Apply, clip: float) -> Apply:
    return lambda x: apply(layer.clipped(x, clip))


def _within_length(layer: _Layer, place: int, before: list[str], after: list[str]) -> tuple[list[str], str]:
    """(the states after the step, its result): of sequences that have ended the states before, and zeros."""
    if not layer.step.has(_LENGTHS):
        return after, after[0]
    (_, batch, hidden), do, step = layer.sizes, layer.do, layer.step
    there = do("Less", step.constant("place", [place], np.int32), layer.operand(_LENGTHS))
    there = layer.reshaped(there, batch, 1)
    states = [do("Where", there, new, old) for new, old in zip(after, before, strict=True)]
    return states, do("Where", there, after[0], step.like("zeros", np.zeros((batch, hidden))))


def _results(layer: _Layer, rows: list[list[str]], last: list[list[str]]) -> list[Any]:
    """The nodes, and those for what of the results is wanted."""
    (_, batch, hidden), do, first = layer.sizes, layer.do, layer.batch_first
    for output, name in enumerate(layer.step.node.output):
        if not name:
            continue
        if output == 0:
            shape, axis = ((batch, 1, 1, hidden), 1) if first else ((1, 1, batch, hidden), 0)
            parts = [do("Concat", *(layer.reshaped(row, *shape) for row in own), axis=axis) for own in rows]
            do("Concat", *parts, axis=axis + 1)
        else:
            shape, axis = ((batch, 1, hidden), 1) if first else ((1, batch, hidden), 0)
            do("Concat", *(layer.reshaped(states[output - 1], *shape) for states in last), axis=axis)
        do.nodes[-1].output[0] = name
    return do.nodes


@definition("LSTM")
def _lstm(step: Definition) -> list[Any]:
    """Gates i, o, f, c."""
    coupled = bool(step.take("input_forget", 0))

    def cell(layer: _Layer, w: _Weights, direction: int, f: list[Apply], x: str, before: list[str]) -> list[str]:
        do, (h, c) = layer.do, before
        of_x, of_h = layer.product(x, w.of_x, w.bias_x), layer.product(h, w.of_h, w.bias_h)
        sums = do("Add", of_x, of_h)
        looks = None
        if layer.step.has(_PEEPHOLES):
            looks = layer.reshaped(layer.of_direction(_PEEPHOLES, direction), 3, layer.sizes[2])

        def gate(number: int, at: str) -> str:
            own = layer.gate(sums, number)
            if looks is not None:
                peephole = do("Gather", looks, layer.step.indices("peephole", number), axis=0)
                own = do("Add", own, do("Mul", peephole, at))
            return f[0](own)

        entering, new = gate(0, c), f[1](layer.gate(sums, 3))
        kept = do("Sub", layer.step.like("one", 1), entering) if coupled else gate(2, c)
        after = do("Add", do("Mul", kept, c), do("Mul", entering, new))
        return [do("Mul", gate(1, after), f[2](after)), after]

    return _written_out(step, 4, 2, ("Sigmoid", "Tanh", "Tanh"), cell)


@definition("GRU")
def _gru(step: Definition) -> list[Any]:
    """Gates z, r, h."""
    after_product = bool(step.take("linear_before_reset", 0))

    def cell(layer: _Layer, w: _Weights, direction: int, f: list[Apply], x: str, before: list[str]) -> list[str]:
        do, (h,) = layer.do, before
        of_x, of_h = layer.product(x, w.of_x, w.bias_x), layer.product(h, w.of_h, w.bias_h)
        update, reset = (f[0](do("Add", layer.gate(of_x, n), layer.gate(of_h, n))) for n in (0, 1))
        if after_product:
            products = do("Mul", reset, layer.gate(of_h, 2))
        else:
            products = layer.gate(layer.product(do("Mul", reset, h), w.of_h, w.bias_h), 2)
        new = f[1](do("Add", layer.gate(of_x, 2), products))
        left = do("Mul", do("Sub", layer.step.like("one", 1), update), new)
        return [do("Add", left, do("Mul", update, h))]

    return _written_out(step, 3, 1, ("Sigmoid", "Tanh"), cell)


@definition("RNN")
def _rnn(step: Definition) -> list[Any]:
    def cell(layer: _Layer, w: _Weights, direction: int, f: list[Apply], x: str, before: list[str]) -> list[str]:
        of_x, of_h = layer.product(x, w.of_x, w.bias_x), layer.product(before[0], w.of_h, w.bias_h)
        return [f[0](layer.gate(layer.do("Add", of_x, of_h), 0))]

    return _written_out(step, 1, 1, ("Tanh",), cell)
