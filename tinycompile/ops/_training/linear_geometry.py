"""What a convolution or fully connected layer adds up, for its gradients: one description of all three."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np

from tinycompile.ir import Array
from tinycompile.ops._spatial import Window


@dataclass(frozen=True)
class LinearGeometry:
    """Attributes:
    window: a fully connected layer's has one position; its rows are those of an image with one column.
    image: (rows, columns, channels) of the input.
    weights: their shape in the layer's own layout.
    depthwise: each output channel reads one input channel.
    """

    window: Window
    image: tuple[int, int, int]
    weights: tuple[int, ...]
    depthwise: bool = False

    @property
    def outputs(self) -> int:
        """Output channels."""
        return self.weights[-1] if self.depthwise else self.weights[0]

    @property
    def groups(self) -> int:
        return self.image[2] if self.depthwise else self.image[2] // self.weights[-1]

    @property
    def is_pointwise(self) -> bool:
        """Whether every output position reads the same input position alone, all of its channels."""
        window = self.window
        alone = window.kernel == window.stride == (1, 1) and not any(window.padding)
        return alone and not self.depthwise and self.groups == 1

    @property
    def positions(self) -> tuple[int, int]:
        """(rows, columns) of the output."""
        return self.window.output_size(*self.image[:2])

    @property
    def terms_of_input(self) -> int:
        """Products that the gradient of an input is a sum of, at most."""
        return prod(self.window.kernel) * (self.outputs // self.groups)

    @property
    def terms_of_weight(self) -> int:
        """Products that the gradient of a weight is a sum of."""
        return prod(self.positions)

    @property
    def macs(self) -> int:
        return prod(self.positions) * prod(self.weights)

    def input_sums(self, gradient: Array, weights: Array) -> Array:
        """Sums of gradients times weights for each input (rows, columns, channels), int64.

        Args:
            gradient: (rows, columns, outputs), exact in float64 with the weights.
        """
        top, bottom, left, right = self.window.padding
        rows, columns, channels = self.image
        padded = np.zeros((1, rows + top + bottom, columns + left + right, channels))
        for tap, filters in self._taps(padded, weights):
            tap += self._transposed(gradient, filters)
        return padded[0, top : top + rows, left : left + columns].astype(np.int64)

    def weight_sums(self, gradient: Array, inputs: Array) -> Array:
        """Sums of gradients times inputs minus their zero point, in the layout of the weights, int64."""
        padded = self.window.pad(inputs[None].astype(np.float64), 0)
        found = np.zeros(self.weights)
        for tap, sums in self._taps(padded, found):
            self._correlate(gradient, tap, sums)
        return found.astype(np.int64)

    def _taps(self, padded: Array, weights: Array) -> Iterator[tuple[Array, Array]]:
        """(view (oh, ow, C) of what a tap reads, view of its weights: (C_out, depth), or (C_out,) where depthwise)."""
        kernel = self.window.kernel
        filters = weights.reshape(*kernel, -1) if self.depthwise else weights.reshape(-1, *kernel, self.weights[-1])
        for i, j, tap in self.window.taps(padded):
            yield tap[0], filters[i, j] if self.depthwise else filters[:, i, j]

    def _transposed(self, gradient: Array, filters: Array) -> Array:
        """What one tap adds to the inputs that it reads."""
        if self.depthwise:
            products = gradient * filters
            return products.reshape(*products.shape[:2], self.groups, -1).sum(axis=-1)
        own = self.outputs // self.groups
        parts = [
            gradient[..., first : first + own].astype(np.float64) @ filters[first : first + own].astype(np.float64)
            for first in range(0, self.outputs, own)
        ]
        return np.concatenate(parts, axis=-1)

    def _correlate(self, gradient: Array, tap: Array, sums: Array) -> None:
        """Adds a tap's sums over all positions."""
        if self.depthwise:
            each = np.repeat(tap, self.outputs // self.groups, axis=-1)
            sums += (gradient * each).sum(axis=(0, 1))
            return
        own, depth = self.outputs // self.groups, self.weights[-1]
        for group in range(self.groups):
            mine = gradient[..., group * own : (group + 1) * own].reshape(-1, own).astype(np.float64)
            read = tap[..., group * depth : (group + 1) * depth].reshape(-1, depth)
            sums[group * own : (group + 1) * own] += mine.T @ read
