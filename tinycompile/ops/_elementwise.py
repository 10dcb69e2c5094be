"""What operators that treat every element alike share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.access import Access, Pointwise
from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import Float64Array
from tinycompile.numerics.requant import Requant
from tinycompile.ops._arithmetic import onnx, real, wide
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._training.function_gradient import function_vjp
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, NoGradientError, Tape
from tinycompile.ops._typed import Meaning, Meanings, Typed

INT8_VALUES = np.arange(256, dtype=np.uint8).view(np.int8)
"""All int8 values in the order of their bit patterns: 0 .. 127, -128 .. -1."""

INT8_ASCENDING = np.arange(-128, 128, dtype=np.int8).view(np.uint8)
"""Where the values -128, -127, ... are in that order."""

Framework = Literal["tflite", "onnx"]


class Elementwise(Op):
    """One input, one output of the same shape."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, inputs[0].dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise()


def between_values(x: TensorType) -> Array:
    """float32 (257,): the real numbers half a step below each int8 value of a type, ascending, and above the last."""
    return ((np.arange(-128, 129) - 0.5 - x.zero_point) * x.scale).astype(np.float32)


class AlongChannels(Elementwise):
    """Every element depends on all along the last axis, the channels."""

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if not inputs[0].shape:
            raise ValueError("the input is a scalar, which has no channels")
        return super().infer(inputs)


class Unary(Elementwise, Typed, Differentiable):
    """A function int8 -> int8 of one element, which 256 table entries define completely."""

    @abstractmethod
    def of(self, sig: Signature, x: Array) -> Array:
        """The function: int8 values of any shape to int8 values."""

    def limits(self, sig: Signature) -> str | None:
        """Why int8 operands of these scales and zero points can't be had; None if they can."""
        return None

    def table(self, sig: Signature) -> Array:
        """int8, shape (256,): entry `(uint8_t)q` is the result for the input q."""
        return self.of(sig, INT8_VALUES)

    def between(self, sig: Signature) -> Float64Array:
        """(257,): the function of real numbers half a step below the int8 -128, below -127 and so on, above 127.

        Raises:
            NoGradientError: the table is all that is known.
        """
        if not isinstance(self, RealUnary):
            raise NoGradientError("its table is of no function of real numbers")
        with np.errstate(all="ignore"):
            return self.real(between_values(sig.input)).astype(np.float64)

    def slopes(self, sig: Signature) -> Float64Array:
        """(256,), by the values' bits: the mean slope of the function over the real numbers that a value stands for; 0
        where the result is clamped, or the function has none.

        Raises:
            NoGradientError: the table is all that is known.
        """
        rises = np.diff(self.between(sig)) / sig.input.scale
        results = self.table(sig)
        passed = np.isfinite(rises) & (results[INT8_ASCENDING] > -128) & (results[INT8_ASCENDING] < 127)
        return np.where(passed, rises, 0.0)[INT8_VALUES.astype(np.int64) + 128]

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        function_vjp(tape, node, gradient, self.slopes(tape.signature(node)))

    def meanings(self) -> Meanings:
        return {**super().meanings(), INT8: Meaning(self._looked_up, self._refused)}

    def _looked_up(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.table(sig)[inputs[0].view(np.uint8)],)

    def _refused(self, sig: Signature) -> str | None:
        types = (not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output"))
        return first_reason(types) or self.limits(sig)


class WideUnary(Elementwise, Typed):
    """A function int16 -> int16 of one element."""

    @abstractmethod
    def wide(self, sig: Signature, x: Array) -> Array:
        """The function: int16 values of any shape to int16 values."""

    def wide_limits(self, sig: Signature) -> str | None:
        """Why int16 operands of these scales can't be had; None if they can."""
        return None

    def meanings(self) -> Meanings:
        return {**super().meanings(), INT16: Meaning(self._of_wide, self._wide_refused)}

    def _of_wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.wide(sig, inputs[0]),)

    def _wide_refused(self, sig: Signature) -> str | None:
        types = (wide.asymmetric(sig.input, "the input"), wide.asymmetric(sig.output, "the output"))
        return first_reason(types) or self.wide_limits(sig)


class RealUnary(Elementwise, Typed):
    """A function of one real number."""

    @abstractmethod
    def real(self, x: Array) -> Array:
        """The function, of a float32 array; its result is rounded to float32."""

    def meanings(self) -> Meanings:
        return {**super().meanings(), FLOAT32: real.meaning(self.real)}


@dataclass(frozen=True)
class Binary(Typed):
    """Two operands of one type, either of them a constant, that broadcast to the output as in NumPy.

    Attributes:
        clamp: inclusive range of the int8 or int16 output, which a fused activation narrows.
        rule: whose arithmetic int8 and int16 operands have.
    """

    clamp: tuple[int, int] = (-128, 127)
    rule: Framework = "tflite"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        a, b = inputs
        return ((np.broadcast_shapes(a.shape, b.shape), a.dtype),)

    def limits(self, sig: Signature) -> str | None:
        """Why int8 operands of these scales and zero points can't be had by TFLite's rule; None if they can."""
        return None

    def access(self, sig: Signature, operand: int) -> Access:
        return broadcast(sig.inputs[operand].shape, sig.output.shape)

    def centred(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, Array]:
        """Operands minus their zero points (int64)."""
        a, b = (x.astype(np.int64) - t.zero_point for x, t in zip(inputs, sig.inputs, strict=True))
        return a, b

    def wide_refused(self, sig: Signature) -> str | None:
        """Why these aren't two int16 operands and an int16 result with the zero point 0; None if they are."""
        names = ("the first operand", "the second operand", "the output")
        types = zip((*sig.inputs, *sig.outputs), names, strict=True)
        return first_reason(wide.asymmetric(t, name) for t, name in types)

    def clamped(self, sig: Signature, result: Array) -> tuple[Array, ...]:
        """An int8 or int16 result from integers of any size."""
        return (np.clip(result, *self.clamp).astype(sig.output.dtype.carrier),)


class TfliteBinary(Binary):
    """int8 by TFLite's rule, and int16 where LiteRT has it.

    Attributes:
        wide: whether it has.
    """

    wide: ClassVar[bool] = True

    @abstractmethod
    def combine(self, sig: Signature, a: Array, b: Array) -> Array:
        """The result before the clamp (int64), of operands minus their zero points (int64)."""

    def meanings(self) -> Meanings:
        eight, sixteen = Meaning(self._combined, self._refused), Meaning(self._combined, self._wide_refused)
        own = {INT8: eight, **({INT16: sixteen} if self.wide else {})} if self.rule == "tflite" else {}
        return {**super().meanings(), **own}

    def _combined(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return self.clamped(sig, self.combine(sig, *self.centred(sig, inputs)))

    def _refused(self, sig: Signature) -> str | None:
        return pair_of_integers(sig) or self.limits(sig)

    def _wide_refused(self, sig: Signature) -> str | None:
        return self.wide_refused(sig) or self.limits(sig)


class RealBinary(Binary):
    """float32."""

    @abstractmethod
    def real(self, a: Array, b: Array) -> Array:
        """The function of two float32 arrays, rounded once."""

    def meanings(self) -> Meanings:
        return {**super().meanings(), FLOAT32: real.meaning(self.real, real.fused(self.clamp))}


class DequantizedBinary(RealBinary):
    """float32, and int8 and int16 by ONNX's rule, which follows from it."""

    def meanings(self) -> Meanings:
        eight, sixteen = (Meaning(self._quantized, refused) for refused in (self._eight_refused, self._sixteen_refused))
        own = {INT8: eight, INT16: sixteen} if self.rule == "onnx" else {}
        return {**super().meanings(), **own}

    def _quantized(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        found = onnx.pair(self.real, sig, *self.centred(sig, inputs))
        # A NaN, which only 0 / 0 gives, passes Relu and Clip as it is; onnxruntime rounds it to the smallest value.
        (numbers,) = self.clamped(sig, found)
        return (np.where(found < onnx.NO_NUMBER // 2, sig.output.dtype.range[0], numbers).astype(numbers.dtype),)

    def _eight_refused(self, sig: Signature) -> str | None:
        return pair_of_integers(sig) or onnx.has_no_number(sig)

    def _sixteen_refused(self, sig: Signature) -> str | None:
        return pair_of_integers(sig, INT16) or onnx.has_no_number(sig)


def broadcast(shape: tuple[int, ...], result: tuple[int, ...]) -> Pointwise:
    """The access to an operand that broadcasts to a result as in NumPy: to its last axes."""
    sizes = (1,) * (len(result) - len(shape)) + shape
    return Pointwise(frozenset(axis - 1 for axis in range(1, len(result) - 1) if sizes[axis] < result[axis]))


def pair_of_integers(sig: Signature, dtype: DType = INT8) -> str | None:
    """Why these aren't two operands and a result of a type, each with one scale; None if they are."""
    names = ("the first operand", "the second operand", "the output")
    types = zip((*sig.inputs, *sig.outputs), names, strict=True)
    return first_reason(not_quantized(t, name, dtype) for t, name in types)


def requantized(rule: Requant, x: Array, zero_point: int) -> Array:
    """`rule` applied to 8-bit values minus their zero point; the rule has one channel."""
    return rule.apply((x.astype(np.int64) - zero_point)[..., None])[..., 0]
