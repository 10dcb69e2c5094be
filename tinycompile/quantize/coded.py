"""Weights of a layer as codes of few bits with scales, in ONNX's layout."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.low_bits import LowBitWeights, column_blocks, levels_of


@dataclass(frozen=True, eq=False)
class CodedWeights:
    """Codes and scales.

    Attributes:
        codes: int8, of the weights' shape.
        scales: float32; (channels,) along `axis`, or of the codes' rank with fewer elements along `block_axis`.
        axis: of the output channels.
        bits: of a code: 2, 3, 4 or 8.
        group: so many input channels have one scale; None for all of them.
        method: that found them, in words.
    """

    codes: Array
    scales: Array
    axis: int
    bits: int
    group: int | None
    method: str

    @staticmethod
    def of(found: LowBitWeights, shape: tuple[int, ...], axis: int, group: int | None, method: str) -> CodedWeights:
        """What was found for the rows of `rows_of`.

        Args:
            shape, axis: of the weights in ONNX's layout.
        """
        moved = (shape[axis], *(size for at, size in enumerate(shape) if at != axis))
        codes = np.moveaxis(found.codes.reshape(moved), 0, axis)
        scales = found.scales.reshape(-1)
        if group is not None:
            blocked = (moved[0], -(-moved[1] // group), *moved[2:])
            scales = np.ascontiguousarray(np.moveaxis(found.scales.reshape(blocked), 0, axis))
        return CodedWeights(np.ascontiguousarray(codes), scales, axis, found.bits, group, method)

    @property
    def block_axis(self) -> int:
        """Along which groups of weights have one scale."""
        return 1 if self.axis == 0 else 0

    @property
    def steps(self) -> Array:
        """float32: the scales, shaped to multiply the codes with."""
        if self.group is None:
            return self.scales.reshape([-1 if at == self.axis else 1 for at in range(self.codes.ndim)])
        blocks = column_blocks(self.codes.shape[self.block_axis], self.group)
        return self.scales[blocks] if self.block_axis == 0 else self.scales[:, blocks]

    @property
    def largest_scales(self) -> Array:
        """float32 (channels,): of each output channel."""
        return self.scales if self.group is None else self.scales.max(axis=self.block_axis).reshape(-1)

    @property
    def weights(self) -> Array:
        """float32: what the codes mean."""
        return self.codes * self.steps

    @property
    def bytes(self) -> int:
        """Of all codes, packed."""
        return -(-self.codes.size * self.bits // 8)

    def rescaled(self, scales: Array, weights: Array) -> CodedWeights:
        """With other scales: the channels that have others are rounded to the nearest code.

        Args:
            weights: in real numbers.
        """
        other = replace(self, scales=scales)
        nearest = np.clip(np.rint(weights / other.steps), *levels_of(self.bits)).astype(np.int8)
        return replace(other, codes=np.where(other.steps == self.steps, self.codes, nearest))


def rows_of(weights: Array, axis: int, parts: int) -> Array:
    """(parts, outputs, depth): a row for each output, as `fit_weights` takes them.

    Args:
        weights: in ONNX's layout.
        axis: of the output channels.
        parts: a convolution's `group`, else 1.
    """
    moved = np.moveaxis(weights, axis, 0)
    return np.ascontiguousarray(moved.reshape(parts, moved.shape[0] // parts, -1))
