"""What average and maximum pooling share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Node, Op, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._spatial import Padding, Pair, SpatialOp, Window, repadded, undivided
from tinycompile.ops._training.gradient import Gradient
from tinycompile.ops._training.rule import Differentiable, Tape, add_as_values, passed_through
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class Pool(SpatialOp, Typed, Differentiable):
    """Base of AveragePool2D and MaxPool2D.

    They work on int8 values as they are: LiteRT ignores it if the output has another scale or zero point.

    Attributes:
        kernel, stride: (rows, columns).
        padding: (top, bottom, left, right); padded positions take no part.
        clamp: inclusive range of the int8 output, which a fused activation narrows.
        dilation: (rows, columns); of floats only.
    """

    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    clamp: Pair = (-128, 127)
    dilation: Pair = field(default=(1, 1), kw_only=True)

    @property
    def slid(self) -> Window:
        """The window, which depends on no operand."""
        return Window(self.kernel, self.stride, self.dilation, self.padding)

    def window(self, x: TensorType, weights: TensorType | None) -> Window:
        return self.slid

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if len(x.shape) != 4:
            raise ValueError(f"pooling needs a 4-D input, got {x}")
        top, bottom, left, right = self.padding
        window = self.window(x, None)
        rows, columns = window.extent
        if max(top, bottom) >= rows or max(left, right) >= columns:
            raise ValueError(f"padding {self.padding} leaves windows {self.kernel} with nothing in them")
        height, width = window.output_size(x.shape[1], x.shape[2])
        return (((x.shape[0], height, width, x.shape[3]), x.dtype),)

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        return replace(self, padding=undivided(self.padding, sizes))

    def padded_along(self, axis: int, padding: Pair) -> Pool:
        return replace(self, padding=repadded(self.padding, axis, padding))

    @abstractmethod
    def integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The meaning for int8 and int16."""

    def vjp(self, tape: Tape, node: Node, gradient: Gradient) -> None:
        if self.clamp != tape.signature(node).output.dtype.range:
            gradient = passed_through(tape, node, gradient, self.clamp)
        add_as_values(tape, node, self.handed_down(tape, node, gradient))

    @abstractmethod
    def handed_down(self, tape: Tape, node: Node, gradient: Gradient) -> Gradient:
        """The gradient of the input, if the values were real numbers."""

    @abstractmethod
    def real(self, x: Array) -> Array:
        """The meaning for floats, of a float64 array."""

    def limits(self, sig: Signature) -> str | None:
        """What else int8 operands must keep; None if they do."""
        return None

    def meanings(self) -> Meanings:
        floats = real.meaning(self._wide, real.fused(self.clamp))
        integers = Meaning(self.integers, self._refused)
        return {INT8: integers, INT16: integers, FLOAT32: floats}

    def _wide(self, x: Array) -> Array:
        return self.real(x.astype(np.float64))

    def _refused(self, sig: Signature) -> str | None:
        batch = sig.input.shape[0]
        return first_reason(
            (
                not_quantized(sig.input, "the input", INT8, INT16),
                not_quantized(sig.output, "the output", sig.input.dtype),
                None if batch == 1 else f"the batch is {batch}, supported is 1",
                None if self.dilation == (1, 1) else f"the dilation is {self.dilation}, supported is 1",
                self.limits(sig),
            )
        )
