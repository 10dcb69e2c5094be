"""What average and maximum pooling share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinycompile.dtypes import DType
from tinycompile.ir import Op, Signature, TensorType
from tinycompile.ops._rules import first_reason, not_quantized
from tinycompile.ops._spatial import Padding, Pair, SpatialOp, Window, undivided


@dataclass(frozen=True)
class Pool(SpatialOp):
    """Base of AveragePool2D and MaxPool2D.

    They work on the int8 values as they are: LiteRT ignores it if the output has another scale or zero point.

    Attributes:
        kernel, stride: (rows, columns).
        padding: (top, bottom, left, right); padded positions take no part.
        clamp: inclusive range of the int8 output, which a fused activation narrows.
    """

    kernel: Pair
    stride: Pair
    padding: Padding = (0, 0, 0, 0)
    clamp: Pair = (-128, 127)

    def window(self, x: TensorType, weights: TensorType | None) -> Window:
        return Window(self.kernel, self.stride, (1, 1), self.padding)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if len(x.shape) != 4:
            raise ValueError(f"pooling needs a 4-D input, got {x}")
        top, bottom, left, right = self.padding
        if max(top, bottom) >= self.kernel[0] or max(left, right) >= self.kernel[1]:
            raise ValueError(f"padding {self.padding} leaves windows {self.kernel} with nothing in them")
        height, width = self.window(x, None).output_size(x.shape[1], x.shape[2])
        return (((x.shape[0], height, width, x.shape[3]), x.dtype),)

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op:
        return replace(self, padding=undivided(self.padding, sizes))

    def unsupported(self, sig: Signature) -> str | None:
        reason = first_reason((not_quantized(sig.input, "the input"), not_quantized(sig.output, "the output")))
        if reason is None and sig.input.shape[0] != 1:
            return f"the batch is {sig.input.shape[0]}, supported is 1"
        return reason
