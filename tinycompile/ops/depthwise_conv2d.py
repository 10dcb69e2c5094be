"""Depthwise convolution: every channel has its own filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT64, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._spatial import Window


@dataclass(frozen=True)
class DepthwiseConv2D(Convolution):
    """int8 input (N = 1) and weights, int32 bias or none; one scale for all weights or one per output channel, zero
    points 0; fused RELU, RELU6 and RELU_N1_TO_1. Or float32. Any depth multiplier, kernel size, stride, dilation and
    padding. Or a float32 input and int8 weights: the input is quantised while the model runs.

    Weights are (1, kh, kw, C_out); output channel c reads input channel c // multiplier.
    """

    kind: ClassVar[str] = "depthwise_conv2d"
    weight_axis: ClassVar[int] = 3
    wide_biases: ClassVar[tuple[DType, ...]] = (INT64,)

    def multiplier(self, sig: Signature) -> int:
        """Output channels per input channel."""
        return sig.output.shape[3] // sig.input.shape[3]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        shapes = super().infer(inputs)
        channels, (one, _, _, outputs) = inputs[0].shape[3], inputs[1].shape
        if one != 1 or channels == 0 or outputs % channels:
            raise ValueError(f"weights {inputs[1]} don't fit an input of {channels} channels")
        return shapes

    def accumulate(self, window: Window, padded: Array, weights: Array) -> Array:
        height, width = padded.shape[1], padded.shape[2]
        rows = (height - window.extent[0]) // window.stride[0] + 1
        columns = (width - window.extent[1]) // window.stride[1] + 1
        channels, outputs = padded.shape[3], weights.shape[3]
        acc = np.zeros((1, rows, columns, channels, outputs // channels), padded.dtype)
        filters = weights[0].reshape(*window.kernel, channels, -1)
        for i, j, tap in window.taps(padded):
            acc += tap[..., None] * filters[i, j]
        return acc.reshape(1, rows, columns, outputs)

    def macs(self, sig: Signature) -> int:
        _, kh, kw, _ = sig.inputs[1].shape
        return sig.output.elements * kh * kw
