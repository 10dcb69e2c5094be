"""Where the backward pass begins: the loss, and its gradient by what the model computes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.block_floating import factor
from tinycompile.numerics.training_losses import cross_entropy, squared_error
from tinycompile.ops._rules import not_quantized
from tinycompile.ops._training.gradient import Inferred, exponent_array, gradient_of


@dataclass(frozen=True)
class BeginBackward(Op):
    """The first operand. Everything that a prediction needs comes before, everything that comes after is training:
    the other operands are the model's outputs.
    """

    kind: ClassVar[str] = "begin_backward"

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        return ((inputs[0].shape, inputs[0].dtype),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (inputs[0],)


@dataclass(frozen=True)
class CrossEntropyGradient(Op):
    """int8 logits of one sample and the number of its class, int32 (1,), to the gradient of softmax with cross-entropy
    by the logits, and the loss, int32 (1,) with 16 fractional bits. A number that no class has is the nearest one.

    Attributes:
        beta: what softmax multiplies the logits with. The gradient is by that product.
    """

    kind: ClassVar[str] = "cross_entropy_gradient"

    beta: float = 1.0

    def scale(self, sig: Signature) -> float:
        """Of the logits as softmax takes them."""
        return sig.input.scale * self.beta

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        logits, label = inputs
        if logits.elements != logits.shape[-1] or label.elements != 1:
            raise ValueError(f"{logits} are no scores of one sample, or {label} is no label")
        return (*gradient_of(logits.shape), ((1,), INT32))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        logits, label = inputs
        values, exponent, loss = cross_entropy(logits.ravel(), self.scale(sig), int(label[0]))
        return values.reshape(logits.shape), exponent_array(exponent), np.array([loss], np.int32)

    def unsupported(self, sig: Signature) -> str | None:
        return not_quantized(sig.input, "the logits", INT8)


@dataclass(frozen=True)
class SquaredErrorGradient(Op):
    """int8 outputs and what they should be, int8 of any scale, to the gradient of the mean of squared differences by
    the outputs, and that mean, int32 (1,) with 16 fractional bits.
    """

    kind: ClassVar[str] = "squared_error_gradient"

    def infer(self, inputs: Sequence[TensorType]) -> Inferred:
        y, target = inputs
        if y.elements != target.elements:
            raise ValueError(f"{target} can't be what {y} should be")
        return (*gradient_of(y.shape), ((1,), INT32))

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        y, target = inputs
        a, b = sig.inputs
        values, exponent, loss = squared_error(
            y.ravel(), target.ravel(), (a.scale, b.scale), (a.zero_point, b.zero_point)
        )
        return values.reshape(y.shape), exponent_array(exponent), np.array([loss], np.int32)

    def unsupported(self, sig: Signature) -> str | None:
        ratio = factor(sig.inputs[0].scale / sig.inputs[1].scale)[1] + 14
        if abs(ratio) > 8:
            return "output and target differ by more than 2^8 in scale"
        return not_quantized(sig.input, "the output", INT8) or not_quantized(sig.inputs[1], "the target", INT8)
