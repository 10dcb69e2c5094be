"""Two-dimensional convolution, also grouped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window

_PATCH_ELEMENTS = 1 << 21
"""How many elements of the im2col matrix are alive at once."""


@dataclass(frozen=True)
class Conv2D(Convolution):
    """int8 input (N = 1) and weights, int32 bias or none; one scale for all weights or one per output channel, zero
    points 0; fused RELU, RELU6 and RELU_N1_TO_1. Or float32. Any kernel size, stride, dilation, padding and number of
    groups. Or a float32 input and int8 weights: the input is quantised while the model runs.

    Weights are (C_out, kh, kw, C_in / groups).
    """

    kind: ClassVar[str] = "conv2d"
    weight_axis: ClassVar[int] = 0

    def groups(self, sig: Signature) -> int:
        return sig.input.shape[3] // sig.inputs[1].shape[3]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shapes = super().infer(inputs)
        channels, (outputs, _, _, depth) = inputs[0].shape[3], inputs[1].shape
        if depth == 0 or channels % depth or outputs % (channels // depth):
            raise ValueError(f"{channels} channels don't divide into groups of weights {inputs[1]}")
        return shapes

    def is_asymmetric(self, sig: Signature) -> bool:
        """LiteRT has two kernels: one of them takes a single scale for all weights, and no groups."""
        quant = sig.inputs[1].quant
        return self.groups(sig) != 1 or (quant is not None and bool(np.any(quant.scale != quant.scale[0])))

    def is_scaled_by_channel_first(self, sig: Signature) -> bool:
        return self.is_asymmetric(sig)

    def accumulate(self, window: Window, padded: Array, weights: Array) -> Array:
        outputs, kh, kw, depth = weights.shape
        patches = window.patches(padded)
        rows, columns, _, _, channels = patches.shape
        groups, taps = channels // depth, kh * kw * depth
        matrices = weights.reshape(groups, outputs // groups, taps)
        acc = np.empty((1, rows, columns, outputs), padded.dtype)
        step = max(1, _PATCH_ELEMENTS // (columns * taps))
        for y in range(0, rows, step):
            for group, matrix in enumerate(matrices):
                part = patches[y : y + step, ..., group * depth : (group + 1) * depth].reshape(-1, taps)
                first = group * len(matrix)
                sums = (part @ matrix.T).reshape(-1, columns, len(matrix))
                acc[0, y : y + step, :, first : first + len(matrix)] = sums
        return acc

    def macs(self, sig: Signature) -> int:
        _, kh, kw, depth = sig.inputs[1].shape
        return sig.output.elements * kh * kw * depth
