"""Trained parameters: what the forward pass reads of them, and a step of gradient descent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8, INT16, INT32
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import BIAS_LIMIT, MASTER_LIMIT, descended, rounded_weights
from tinycompile.ops._training.gradient import LEARNING_RATE, Inferred


@dataclass(frozen=True)
class RoundedWeights(Op):
    """int16 master weights to the int8 weights that they are 256 times. Where only the first channels are trained,
    those of the last axis, the int8 weights of the others are a second operand.
    """

    kind: ClassVar[str] = "rounded_weights"

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        if len({t.shape[:-1] for t in inputs}) != 1:
            raise ValueError(f"{' and '.join(map(str, inputs))} aren't channels of the same weights")
        return (((*inputs[0].shape[:-1], sum(t.shape[-1] for t in inputs)), INT8),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (np.concatenate([rounded_weights(inputs[0]), *inputs[1:]], axis=-1),)


@dataclass(frozen=True)
class GradientDescent(Op):
    """A parameter (int16 master weights, or int32 biases), its gradient (int32, exponent), the learning rate (mantissa,
    exponent) and, per channel, int32 (C, 2), what a unit of the gradient is in units of the parameter (mantissa,
    exponent), to the parameter after a step: exact products, rounded once, saturated.

    Attributes:
        axis: of the parameter, the channels'; scales of a whole tensor are one channel, with axis None.
    """

    kind: ClassVar[str] = "gradient_descent"

    axis: int | None

    @property
    def updates(self) -> Mapping[int, int]:
        """Element by element."""
        return {0: 0}

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        parameter, gradient, _, rate, units = inputs
        channels = 1 if self.axis is None else parameter.shape[self.axis]
        if gradient.shape != parameter.shape or rate.shape != LEARNING_RATE.shape or units.shape != (channels, 2):
            raise ValueError(f"{gradient}, {rate} and {units} don't fit {parameter}")
        return ((parameter.shape, parameter.dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        parameter, gradient, exponent, rate, units = inputs
        shape = [1] * parameter.ndim
        if self.axis is not None:
            shape[self.axis] = -1
        mantissas, exponents = (units[:, column].astype("int64").reshape(shape) for column in range(2))
        rates = mantissas * int(rate[0]), exponents + int(rate[1])
        low = -MASTER_LIMIT if parameter.dtype == INT16.carrier else -BIAS_LIMIT
        return (descended(parameter, gradient, int(exponent[0]), rates, low).astype(parameter.dtype),)

    def unsupported(self, sig: Signature) -> str | None:
        return None if sig.input.dtype in (INT16, INT32) else f"a parameter of {sig.input.dtype}"
