"""Convolutions of 8-bit images with 8-bit weights whose zero points are operands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._integer_product import IntegerProduct
from tinycompile.ops._spatial import Padding, Pair, SpatialOp, Window, repadded


@dataclass(frozen=True)
class ConvInteger(IntegerProduct, SpatialOp):
    """int8 images (N, H, W, C) with constant int8 weights (C_out, kh, kw, C / groups) and zero points, to int32, or
    with a scale and a bias to float32. One zero point for the images, which may be computed; a constant one, or one for
    each output channel, for the weights.

    Attributes:
        stride, dilation: (rows, columns).
        padding: (top, bottom, left, right); a padded position reads the images' zero point.
    """

    kind: ClassVar[str] = "conv_integer"

    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Padding = (0, 0, 0, 0)

    def window(self, x: TensorType, weights: TensorType | None) -> Window:
        if weights is None:
            raise ValueError("a convolution needs weights")
        return Window((weights.shape[1], weights.shape[2]), self.stride, self.dilation, self.padding)

    def padded_along(self, axis: int, padding: Pair) -> ConvInteger:
        return replace(self, padding=repadded(self.padding, axis, padding))

    def groups(self, sig: Signature) -> int:
        return sig.input.shape[3] // sig.inputs[1].shape[3]

    def result_shape(self, x: TensorType, y: TensorType) -> tuple[int, ...]:
        if len(x.shape) != 4 or len(y.shape) != 4 or x.shape[3] % y.shape[3]:
            raise ValueError(f"{y} are no weights for {x}")
        if y.shape[0] % (x.shape[3] // y.shape[3]):
            raise ValueError(f"{y.shape[0]} output channels in {x.shape[3] // y.shape[3]} groups")
        height, width = self.window(x, y).output_size(x.shape[1], x.shape[2])
        return (x.shape[0], height, width, y.shape[0])

    def sums(self, sig: Signature, x: Array, y: Array) -> Array:
        window, groups = self.window_of(sig), self.groups(sig)
        weights = y.reshape(groups, y.shape[0] // groups, -1)
        images = list[Array]()
        for image in window.pad(x, 0):
            patches = window.patches(image[None])
            split = np.moveaxis(patches.reshape(*patches.shape[:4], groups, -1), 4, 2)
            vectors = split.reshape(*split.shape[:3], -1)
            images.append(np.einsum("yxgk,gok->yxgo", vectors, weights, optimize=True))
        return np.stack(images).reshape(sig.output.shape)

    def channels_of(self, zero_point: Array) -> Array:
        return zero_point.reshape(-1, 1, 1, 1)

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * (sig.inputs[1].elements // sig.output.shape[3])
