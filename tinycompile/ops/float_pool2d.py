"""Pooling of floats in ONNX's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp
from tinycompile.ops._spatial import Padding, Pair, Window


@dataclass(frozen=True)
class FloatPool2D(FloatOp):
    """float32 in NCHW with any batch: maximum or average over windows with any stride, dilation and padding.

    Attributes:
        function: "max" or "average".
        count: how many rows and columns around the input count for the average, in the order of `padding`; positions
            further outside don't.
    """

    kind: ClassVar[str] = "float_pool2d"

    function: Literal["max", "average"]
    kernel: Pair
    stride: Pair
    dilation: Pair
    padding: Padding
    count: Padding = (0, 0, 0, 0)

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.stride, self.dilation, self.padding)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0].shape
        if len(x) != 4:
            raise ValueError(f"pooling needs a 4-D input, got {inputs[0]}")
        return (((x[0], x[1], *self.window.output_size(x[2], x[3])), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        n, c, h, w = inputs[0].shape
        top, bottom, left, right = self.padding
        border = ((0, 0), (top, bottom), (left, right))
        flat = inputs[0].reshape(n * c, h, w).astype(np.float64)
        if self.function == "max":
            padded = np.pad(flat, border, constant_values=-np.inf).transpose(1, 2, 0)[None]
            result = reduce(np.maximum, (tap for _, _, tap in self.window.taps(padded)))
        else:
            padded = np.pad(flat, border).transpose(1, 2, 0)[None]
            total = sum((tap for _, _, tap in self.window.taps(padded)), np.float64(0))
            ones = np.zeros((1, h + top + bottom, w + left + right, 1))
            ones[:, top - self.count[0] : top + h + self.count[1], left - self.count[2] : left + w + self.count[3]] = 1
            result = total / sum((tap for _, _, tap in self.window.taps(ones)), np.float64(0))
        return (np.asarray(result)[0].transpose(2, 0, 1).reshape(sig.output.shape).astype(np.float32),)
