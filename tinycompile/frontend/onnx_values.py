"""What a value of an ONNX graph is while the graph is imported.

Float values between DequantizeLinear and QuantizeLinear are never tensors of the IR: they are descriptions of how they
follow from int8 ones, until a QuantizeLinear says how to round the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import prod
from typing import Any, Literal

import numpy as np

from tinycompile.dtypes import INT8, UINT8, UINT16, DType
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, Quantization
from tinycompile.ops._elementwise import INT8_VALUES
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.ops.resize_bilinear import ResizeBilinear

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


def broadcast(*shapes: Shape) -> Shape:
    """The shape of what is computed from operands of these, as in NumPy. Raises Rejected where they don't fit."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise Rejected(f"operands of the shapes {' and '.join(map(str, map(list, shapes)))} don't broadcast") from error


@dataclass(frozen=True, eq=False)
class Known:
    """A constant.

    Attributes:
        quantized: where a dequantised one comes from.
        blocks: the same where scales are neither one nor one per channel.
    """

    array: Array
    quantized: KnownQuantized | None = None
    blocks: KnownBlocks | None = None

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
class KnownBlocks:
    """An integer constant whose scales vary along several axes.

    Attributes:
        values: int64, without their zero points.
        scale: float32, of the same shape: of each element.
    """

    values: Array
    scale: Array

    @staticmethod
    def of(value: Known) -> KnownBlocks | None:
        """Of any dequantised constant, those with one scale or one per channel as well."""
        source = value.quantized
        if source is None:
            return value.blocks
        numbers = source.values.astype(np.int64) - source.zero_point.astype(np.int64)
        return KnownBlocks(numbers, np.broadcast_to(source.scale, numbers.shape).astype(np.float32))

    def moved(self, how: Callable[[Array], Array]) -> KnownBlocks:
        """With all elements elsewhere."""
        return KnownBlocks(how(self.values), how(self.scale))


def shift_of(dtype: DType) -> int:
    """What an unsigned type is kept lower by, as the signed type of its size."""
    return {UINT8: 1 << 7, UINT16: 1 << 15}.get(dtype, 0)


@dataclass(frozen=True, eq=False)
class Quantized:
    """An integer tensor; the int8 or int16 IR value holds its values minus `shift`, which is 0 for signed ones.

    Attributes:
        rounded: what QuantizeLinear made it of, and how, if it did.
    """

    at: Placed
    dtype: DType
    rounded: tuple[Value, Quantization] | None = None

    @property
    def shape(self) -> Shape:
        return self.at.shape

    @property
    def shift(self) -> int:
        return shift_of(self.dtype)


@dataclass(frozen=True, eq=False)
class Step:
    """An element-wise ONNX node in a function of one element.

    Attributes:
        operands: by index, without those that are absent: another step, a constant, or None for the element itself. A
            constant has the shape () or, with a value for each channel, (C, 1).
        increasing: the function never falls where the element grows.
        boolean: its result is bool.
    """

    node: Any
    operands: Mapping[int, Step | Array | None]
    increasing: bool
    boolean: bool = False


@dataclass(frozen=True, eq=False)
class Dequantized:
    """A float tensor: `scale * (q - zero_point)` of an int8 or int16 one, or a function of each element of that.

    Attributes:
        channel: the axis of the ONNX tensor along which the function's constants differ, if they do.
        dtype: of the tensor in the IR.
    """

    at: Placed
    quant: Quantization
    function: Step | None = None
    channel: int | None = None
    dtype: DType = INT8

    @property
    def shape(self) -> Shape:
        return self.at.shape

    @property
    def numbers(self) -> Array:
        """All that an element may be in the IR: int8 by their bits, int16 ascending."""
        return INT8_VALUES if self.dtype == INT8 else np.arange(-(1 << 15), 1 << 15).astype(np.int16)

    @property
    def is_increasing(self) -> bool:
        return self.function is None or self.function.increasing

    def same_element(self, other: Dequantized) -> bool:
        """Whether both are functions of the same elements."""
        a, b = self.at, other.at
        same = (a.name, a.shape, a.order, a.folded) == (b.name, b.shape, b.order, b.folded)
        return same and self.quant.same_as(other.quant)


@dataclass(frozen=True, eq=False)
class Clamp:
    """Relu and Clip in front of QuantizeLinear: bounds of the float value."""

    low: float = -np.inf
    high: float = np.inf

    @property
    def is_open(self) -> bool:
        """Whether it changes nothing."""
        return self.low == -np.inf and self.high == np.inf

    def then(self, low: float, high: float) -> Clamp:
        """Clipped again: the later bounds win where they contradict each other, and of those the upper one."""
        return Clamp(min(max(self.low, low), high), min(max(self.high, low), high))


@dataclass(frozen=True, eq=False)
class WeightBlocks:
    """Blocks of rows of weights.

    Attributes:
        size: elements of a block.
        scale: float32 (C_out, blocks), as the file has them.
        factor: int64 (C_out, blocks), scale over the row's step.
    """

    size: int
    scale: Array
    factor: Array


@dataclass(frozen=True, eq=False)
class Linear:
    """A convolution or matrix product of an int8 tensor with constant int8 weights, not rounded yet.

    Attributes:
        x: its operand; in NHWC for a convolution, rows of C_in for a matrix product.
        kind: "conv2d", "depthwise_conv2d", "transpose_conv" or "fully_connected", whose attributes are `window`.
        weights: integers in the IR's layout, zero point taken off.
        blocks: of "fully_connected", factors of the weights' blocks (docs/low_bit.md), if they have their own scales;
            `product` is then of a sum of blocks times their factors.
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
    blocks: WeightBlocks | None = None

    @property
    def channel_axis(self) -> int:
        """Of the ONNX tensor."""
        return self.order[-1]

    def plus(self, values: Array) -> Linear:
        """With constants added per output channel."""
        return self.plus_real([Fraction(float(v)) for v in np.broadcast_to(values.reshape(-1), (len(self.bias),))])

    def plus_real(self, added: Sequence[Fraction]) -> Linear:
        """The same with real numbers."""
        return replace(self, bias=tuple(b + v for b, v in zip(self.bias, added, strict=True)))

    def times(self, *factors: Fraction) -> Linear:
        """With positive factors, one or one per output channel."""
        each = factors * len(self.bias) if len(factors) == 1 else factors
        product = tuple(p * f for p, f in zip(self.product, each, strict=True))
        return replace(self, product=product, bias=tuple(b * f for b, f in zip(self.bias, each, strict=True)))


@dataclass(frozen=True, eq=False)
class Average:
    """A sum over windows of an int8 image in NHWC, or over axes of an int8 IR value, not rounded yet.

    Attributes:
        product: the real number of one step of the sum: the scale, in a mean by the number of elements.
        is_mean: else it is a sum.
        bias: real number that is added.
        padding: of windows, (top, bottom, left, right); it doesn't count.
    """

    x: Placed
    quant: Quantization
    product: Fraction
    kernel: tuple[int, int] | None
    stride: tuple[int, int] | None
    axes: tuple[int, ...]
    keep_dims: bool
    shape: Shape
    order: tuple[int, ...]
    clamp: Clamp = field(default_factory=Clamp)
    bias: Fraction = Fraction(0)
    is_mean: bool = True
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)

    def plus(self, values: Array) -> Average:
        """With a constant of one element added."""
        return replace(self, bias=self.bias + Fraction(float(values[0])))

    def times(self, factor: Fraction) -> Average:
        """With a positive factor."""
        return replace(self, product=self.product * factor, bias=self.bias * factor)


@dataclass(frozen=True, eq=False)
class Product:
    """The product of two int8 matrices, not rounded yet.

    Attributes:
        x, y: its operands, with their last two axes in each other's place where `turned_x` or `turned_y` says so.
        product: the real number of one step of an accumulator.
        bias: real number that is added.
    """

    x: Placed
    y: Placed
    turned_x: bool
    turned_y: bool
    product: Fraction
    shape: Shape
    clamp: Clamp = field(default_factory=Clamp)
    bias: Fraction = Fraction(0)

    def plus(self, values: Array) -> Product:
        """With a constant of one element added."""
        return replace(self, bias=self.bias + Fraction(float(values[0])))

    def times(self, factor: Fraction) -> Product:
        """With a positive factor."""
        return replace(self, product=self.product * factor, bias=self.bias * factor)


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
    """Softmax over the last axis of the IR value, not rounded yet."""

    x: Dequantized

    @property
    def shape(self) -> Shape:
        return self.x.shape


@dataclass(frozen=True, eq=False)
class NormalisedRows:
    """LayerNormalization over the last axis of the IR value, not rounded yet.

    Attributes:
        scale, bias: float32, of the columns.
    """

    x: Dequantized
    op: LayerNormalization
    scale: Array
    bias: Array

    @property
    def shape(self) -> Shape:
        return self.x.shape


@dataclass(frozen=True, eq=False)
class Interpolated:
    """An int8 image in NHWC resized by linear interpolation, not rounded yet.

    Attributes:
        as_layer: the same as a layer, which may be rounded to another scale. Raises Rejected.
    """

    image: Placed
    quant: Quantization
    op: ResizeBilinear
    shape: Shape
    as_layer: Callable[[], Linear]


@dataclass(frozen=True, eq=False)
class Arranged:
    """Elements of values that aren't rounded yet, elsewhere, side by side, or chosen by their size.

    That may be done after rounding.

    Attributes:
        parts: the values, constants among them.
        how: from the parts, all rounded in the same way, and that way, to the result.
        commutes: functions that may be applied to the parts in its place: "all"; "increasing", where elements are
            chosen by their size; "none", where it brings in constants.
    """

    parts: tuple[Value, ...]
    how: Callable[[Sequence[Placed], Quantization], Placed]
    shape: Shape
    commutes: Literal["all", "increasing", "none"] = "all"


@dataclass(frozen=True, eq=False)
class Real:
    """A float32 tensor of the IR."""

    at: Placed

    @property
    def shape(self) -> Shape:
        return self.at.shape


@dataclass(frozen=True, eq=False)
class Discrete:
    """A tensor of the IR that isn't quantised: bool, or integers that are indices, sizes or labels.

    Attributes:
        positive: surely no element is negative.
    """

    at: Placed
    dtype: DType
    positive: bool = False

    @property
    def shape(self) -> Shape:
        return self.at.shape


@dataclass(frozen=True, eq=False)
class Missing:
    """What a node that can't be compiled would have computed; its readers aren't reported as well."""

    shape: Shape = ()


Described = Dequantized | Linear | Average | Product | Pair | SoftmaxOf | NormalisedRows | Interpolated | Arranged
"""Floats that QuantizeLinear can round without float32 arithmetic."""
Value = Known | Quantized | Described | Real | Discrete | Missing
