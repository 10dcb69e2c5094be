"""What a value of an ONNX graph is while the graph is imported.

Float values between DequantizeLinear and QuantizeLinear are never tensors of the IR: they are descriptions of how they
follow from int8 ones, until a QuantizeLinear says how to round the result.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from tinycompile.dtypes import UINT8, DType
from tinycompile.ir import Array, Quantization

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Placed:
    """A tensor of the IR and the order of its axes.

    Attributes:
        name: the IR value.
        shape: as in the ONNX model.
        order: axis i of the IR value is axis order[i] of the ONNX tensor.
        folded: the ONNX shape and order of the image that the only row of a (1, n) tensor holds, if that is not in the
            ONNX order: what Flatten makes of an NHWC tensor without moving it.
    """

    name: str
    shape: Shape
    order: tuple[int, ...]
    folded: tuple[Shape, tuple[int, ...]] | None = None

    @property
    def is_plain(self) -> bool:
        """The IR value is the ONNX tensor as it is in memory."""
        return self.folded is None and moves_nothing(self.shape, self.order)

    @property
    def physical_shape(self) -> Shape:
        return tuple(self.shape[axis] for axis in self.order)

    def row_order(self) -> Array | None:
        """For a folded row: the ONNX index of each element of the IR value; None where that is the identity."""
        if self.folded is None:
            return None
        shape, order = self.folded
        return np.arange(prod(shape)).reshape(shape).transpose(order).ravel()


def moves_nothing(shape: Shape, order: tuple[int, ...]) -> bool:
    """Whether permuting the axes leaves every element where it is in memory."""
    moved = [axis for axis in order if shape[axis] != 1]
    return moved == sorted(moved)


def identity(rank: int) -> tuple[int, ...]:
    return tuple(range(rank))


@dataclass(frozen=True, eq=False)
class Known:
    """A constant. `quantized` says where a dequantised one comes from."""

    array: Array
    quantized: KnownQuantized | None = None

    @property
    def shape(self) -> Shape:
        return self.array.shape


@dataclass(frozen=True, eq=False)
class KnownQuantized:
    """An integer constant with scale and zero point of its shape's rank (they broadcast); axis None: per tensor."""

    values: Array
    scale: Array
    zero_point: Array
    axis: int | None

    def along(self, axis: int, size: int) -> Array | None:
        """The scales per channel of `axis`; None where they vary along another axis."""
        if self.axis is not None and self.axis != axis:
            return None
        return np.broadcast_to(self.scale.reshape(-1), (size,)).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer tensor; the int8 IR value holds its values minus `shift`, which is 128 for uint8 and else 0."""

    at: Placed
    dtype: DType

    @property
    def shape(self) -> Shape:
        return self.at.shape

    @property
    def shift(self) -> int:
        return 128 if self.dtype == UINT8 else 0


@dataclass(frozen=True, eq=False)
class Step:
    """An element-wise ONNX node with one operand that isn't constant, at index `operand`."""

    node: Any
    operand: int
    constants: dict[str, Array]
    increasing: bool


@dataclass(frozen=True, eq=False)
class Dequantized:
    """A float tensor: `scale * (q - zero_point)` of an int8 one, and then element-wise functions of that."""

    at: Placed
    quant: Quantization
    steps: tuple[Step, ...] = ()

    @property
    def shape(self) -> Shape:
        return self.at.shape


@dataclass(frozen=True, eq=False)
class Clamp:
    """Relu and Clip in front of QuantizeLinear: bounds of the float value."""

    low: float = -np.inf
    high: float = np.inf

    def then(self, low: float, high: float) -> Clamp:
        """Clipped again: the later bounds win where they contradict each other, and of those the upper one."""
        return Clamp(min(max(self.low, low), high), min(max(self.high, low), high))


@dataclass(frozen=True, eq=False)
class Linear:
    """A convolution or matrix product of an int8 tensor with constant int8 weights, not rounded yet.

    Attributes:
        x: its operand; in NHWC for a convolution, rows of C_in for a matrix product.
        kind: "conv2d", "depthwise_conv2d", "transpose_conv" or "fully_connected", whose attributes are `window`.
        weights: integers in the IR's layout, zero point taken off.
        product: x scale * weight scale per output channel, exact.
        bias: real number per output channel.
        shape: of the result.
        order: of the result's axes in the IR.
        ir_shape: of the IR value; another than `shape` in `order` for 1-D convolutions.
    """

    x: Placed
    quant: Quantization
    kind: str
    window: dict[str, Any]
    weights: Array
    weight_scale: Array
    product: tuple[Fraction, ...]
    bias: tuple[Fraction, ...]
    shape: Shape
    order: tuple[int, ...]
    clamp: Clamp = field(default_factory=Clamp)

    def plus(self, values: Array) -> Linear:
        """With constants added per output channel."""
        added = (Fraction(float(v)) for v in np.broadcast_to(values.reshape(-1), (len(self.bias),)))
        return replace(self, bias=tuple(b + v for b, v in zip(self.bias, added, strict=True)))


@dataclass(frozen=True, eq=False)
class Average:
    """A mean of an int8 tensor, not rounded yet: over windows of an NHWC image, or over axes of the IR value."""

    x: Placed
    quant: Quantization
    count: int
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    axes: tuple[int, ...]
    keep_dims: bool
    shape: Shape
    order: tuple[int, ...]
    clamp: Clamp = field(default_factory=Clamp)


@dataclass(frozen=True, eq=False)
class Pair:
    """A function of two dequantised tensors (one may be a quantised constant), not rounded yet.

    Attributes:
        function: the operator's name in ONNX.
    """

    function: str
    operands: tuple[Dequantized | Known, Dequantized | Known]
    shape: Shape
    clamp: Clamp = field(default_factory=Clamp)


@dataclass(frozen=True, eq=False)
class SoftmaxOf:
    """Softmax over the last axis, not rounded yet, and then seen as another shape if `reshaped` is one."""

    x: Dequantized
    reshaped: Shape | None = None

    @property
    def shape(self) -> Shape:
        return self.x.shape if self.reshaped is None else self.reshaped


@dataclass(frozen=True, eq=False)
class Joined:
    """Dequantised tensors, of different scales, side by side."""

    parts: tuple[Dequantized | Known, ...]
    axis: int
    shape: Shape


@dataclass(frozen=True, eq=False)
class Real:
    """A float32 tensor of the IR."""

    at: Placed

    @property
    def shape(self) -> Shape:
        return self.at.shape


@dataclass(frozen=True, eq=False)
class Missing:
    """What a node that can't be compiled would have computed; its readers aren't reported as well."""

    shape: Shape = ()


Value = Known | Quantized | Dequantized | Linear | Average | Pair | SoftmaxOf | Joined | Real | Missing
