"""Two-dimensional convolution of floats in ONNX's layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp
from tinycompile.ops._spatial import Padding, Pair, Window


@dataclass(frozen=True)
class FloatConv2D(FloatOp):
    """float32 in NCHW with any batch; constant weights (C_out, C_in / groups, kh, kw), bias or none; any stride,
    dilation, padding and number of groups.

    Attributes:
        stride, dilation: (rows, columns).
        padding: (top, bottom, left, right), of zeros.
    """

    kind: ClassVar[str] = "float_conv2d"

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)

    def window_of(self, sig: Signature) -> Window:
        _, _, kh, kw = sig.inputs[1].shape
        return Window((kh, kw), self.stride, self.dilation, self.padding)

    def groups(self, sig: Signature) -> int:
        return sig.input.shape[1] // sig.inputs[1].shape[1]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, w = inputs[0].shape, inputs[1].shape
        if len(x) != 4 or len(w) != 4 or w[1] == 0 or x[1] % w[1] or w[0] % (x[1] // w[1]):
            raise ValueError(f"weights {inputs[1]} don't fit the input {inputs[0]}")
        window = Window((w[2], w[3]), self.stride, self.dilation, self.padding)
        return (((x[0], w[0], *window.output_size(x[2], x[3])), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        window, groups = self.window_of(sig), self.groups(sig)
        weights = inputs[1].astype(np.float64).transpose(0, 2, 3, 1)
        outputs, depth = weights.shape[0] // groups, weights.shape[3]
        result = np.empty(sig.output.shape, np.float64)
        for n, image in enumerate(inputs[0].astype(np.float64).transpose(0, 2, 3, 1)):
            patches = window.patches(window.pad(image[None], 0))
            for g in range(groups):
                part = patches[..., g * depth : (g + 1) * depth]
                kernels = weights[g * outputs : (g + 1) * outputs]
                result[n, g * outputs : (g + 1) * outputs] = np.tensordot(kernels, part, ([1, 2, 3], [2, 3, 4]))
        if len(inputs) > 2:
            result += inputs[2].reshape(1, -1, 1, 1)
        return (result.astype(np.float32),)

    def macs(self, sig: Signature) -> int:
        _, depth, kh, kw = sig.inputs[1].shape
        return sig.output.elements * depth * kh * kw
