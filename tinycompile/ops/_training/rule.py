"""Gradient rules: what an operator adds to a training step's backward pass (docs/training.md)."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from tinycompile.ir import Array, Node, Op, Quantization, Signature, TensorType
from tinycompile.numerics.block_floating import multiplier
from tinycompile.numerics.fixed_point import Float64Array
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.masks import MaskedGradient
from tinycompile.ops._training.scaled_gradient import SpreadGradient
from tinycompile.ops._training.sums import ReducedGradient


class NoGradientError(Exception):
    """An operator of this form has no gradient rule; the text says why."""


@dataclass(frozen=True)
class Parameter:
    """A trained operand of a layer.

    Attributes:
        state: the value with its master weights, or biases.
        channels: only so many of the weights' last axis are trained, the first; None for all.
        copies: how many of these weights a weight of the model is the sum of: each takes its share of a step.
    """

    state: str
    channels: int | None = None
    copies: int = 1


class Tape(Protocol):
    """The step graph while its backward pass is written."""

    def signature(self, node: Node) -> Signature: ...

    def type_of(self, value: str) -> TensorType: ...

    def wants(self, value: str) -> bool:
        """Whether something that is trained depends on the gradient of a value."""
        ...

    def parameter(self, value: str) -> Parameter | None:
        """What is trained of an operand; None if nothing is."""
        ...

    def weights(self, value: str) -> str:
        """The int8 weights of an operand as they were in the forward pass, to be read in the backward pass."""
        ...

    def values_of(self, value: str) -> Array | None:
        """Of a constant; None of anything else."""
        ...

    def constant(self, values: Array, meaning: str) -> str:
        """A constant's name; equal ones are one. `meaning`: a word for the name."""
        ...

    def emit(self, op: Op, *operands: str, meaning: str) -> tuple[str, ...]:
        """Appends a node and names its results."""
        ...

    def mask(self, value: str, clamp: tuple[int, int]) -> str:
        """Bits of the outputs that passed a clamp, made in the forward pass."""
        ...

    def compared(self, node: Node, difference: Op, quant: Quantization, clamp: tuple[int, int]) -> str:
        """Bits of where the difference of a node's operands passes a clamp, both made in the forward pass.

        Args:
            quant: of the difference.
        """
        ...

    def selected(self, value: str, channels: int) -> str:
        """The first channels of a value of the forward pass, kept for the backward pass."""
        ...

    def add(self, value: str, gradient: Gradient) -> None:
        """A part of a value's gradient."""
        ...

    def descend(self, parameter: Parameter, gradient: Gradient, units: Array, axis: int | None) -> None:
        """A trained parameter's step.

        Args:
            gradient: int32 sums.
            units: float64, per channel or one, what 1 of the sums is in the units of an int8 weight or of a bias.
            axis: the channels' of the parameter.
        """
        ...


class Differentiable(Op):
    """An operator with a gradient rule."""

    @abstractmethod
    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        """Adds to the gradients of the operands and trained parameters what follows from that of the result: the
        product of a vector with the Jacobian, by real numbers.

        Raises:
            NoGradientError: not in this form.
        """


def passed_through(tape: Tape, node: Node, gradient: Gradient, clamp: tuple[int, int]) -> Gradient:
    """The gradient of what an operator computed before its clamp."""
    mask = tape.mask(node.outputs[0], clamp)
    (values,) = tape.emit(MaskedGradient(), gradient.values, mask, meaning="passed")
    return Gradient(values, gradient.exponent)


def slopes(sig: Signature, rule: Requant) -> Float64Array:
    """What 1 of each channel's sums is in steps of operand 0, real numbers (C,), by a layer's own rule: a factor behind
    the layer is part of it.

    Raises:
        NoGradientError: it isn't a straight line between two ends.
    """
    if isinstance(rule, StepRequant) and not rule.is_straight():
        raise NoGradientError("what it computes of its sums isn't a straight line")
    return rule.real_scale() * (sig.output.scale / sig.input.scale)


def is_rescaled(sig: Signature) -> bool:
    """Whether operand 0 and the result differ in scale or zero point."""
    return sig.input.quant is not None and not sig.input.quant.same_as(sig.output.quant)


def add_as_values(tape: Tape, node: Node, gradient: Gradient, operand: int = 0) -> None:
    """Adds the gradient of an operator that hands int8 values on as they are: where scales differ, real numbers grow.

    Args:
        gradient: of the operand's shape.
    """
    sig, x = tape.signature(node), node.inputs[operand]
    own = sig.inputs[operand]
    if own.scale != sig.output.scale:
        share = multiplier(sig.output.scale / own.scale)
        op = SpreadGradient(own.shape, own.shape, share)
        gradient = Gradient(*tape.emit(op, *gradient, meaning="rescaled"))
    tape.add(x, gradient)


def add_broadcast(tape: Tape, operand: str, gradient: Gradient) -> None:
    """Adds to the gradient of an operand that may have broadcast."""
    shape = tape.type_of(operand).shape
    if shape != tape.type_of(gradient.values).shape:
        gradient = Gradient(*tape.emit(ReducedGradient(shape), *gradient, meaning="reduced"))
    tape.add(operand, gradient)
