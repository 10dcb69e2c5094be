"""Random int8 TFLite networks of tensors with 0 to 6 axes: every operator wherever its definition admits the rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np

from tests.support.random_model import Value
from tests.support.tflite_builder import NONE, RELU, RELU6, SAME, VALID, TfliteBuilder

MAX_RANK = 6
MAX_ELEMENTS = 600
PAD_RANK = 5
"""LiteRT's PAD takes no more. Its TRANSPOSE of a scalar reads memory that isn't its own."""


@dataclass
class RandomRanks:
    """Grows a network operator by operator; everything follows from the seed.

    Attributes:
        inputs, values: tensors made so far. read: those that an operator takes.
    """

    seed: int
    builder: TfliteBuilder = field(default_factory=TfliteBuilder)
    inputs: list[Value] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    read: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def build(self, steps: int) -> tuple[bytes, list[tuple[int, ...]]]:
        """(file, shapes of the inputs), of one operator and more; what nobody reads is an output."""
        self.input(self.shape(4 if self.rng.random() < 0.3 else int(self.rng.integers(MAX_RANK + 1))))
        while len(self.builder.ops) < steps:
            x = self.values[-1] if self.rng.random() < 0.75 else self.any(self.values)
            possible = [step for step, admits in self.steps() if admits(x)]
            possible[int(self.rng.integers(len(possible)))](x)
        outputs = [v.index for v in self.values if v.index not in self.read and v not in self.inputs]
        return self.builder.build([v.index for v in self.inputs], outputs), [v.shape for v in self.inputs]

    def steps(self) -> list[tuple[Callable[[Value], None], Callable[[Value], bool]]]:
        """Every operator, and whether it takes a value."""

        def ranks(first: int, last: int = MAX_RANK) -> Callable[[Value], bool]:
            return lambda x: first <= len(x.shape) <= last

        def image(x: Value) -> bool:
            return len(x.shape) == 4 and x.shape[0] == 1

        return [
            *[(self.mean, ranks(0))] * 2,
            *[(self.reshape, ranks(0))] * 2,
            (self.squeeze, lambda x: 1 in x.shape),
            (self.expand_dims, ranks(0, MAX_RANK - 1)),
            (self.transpose, ranks(1)),
            (self.pad, ranks(1, PAD_RANK)),
            (self.concatenate, ranks(1)),
            *[(self.strided_slice, ranks(1, 5))] * 2,
            (self.split, ranks(1)),
            (self.pack, ranks(0, MAX_RANK - 1)),
            (self.tile, ranks(1)),
            (self.mirror_pad, ranks(1)),
            (self.gather, ranks(1)),
            *[(self.binary, ranks(0))] * 2,
            (self.unary, ranks(0)),
            (self.softmax, ranks(1)),
            (self.fully_connected, ranks(0)),
            *[(self.pool, image)] * 3,
            *[(self.convolution, image)] * 4,
            (self.resize, image),
        ]

    # Values

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def any(self, values: list[Value]) -> Value:
        return values[int(self.rng.integers(len(values)))]

    def shape(self, rank: int) -> tuple[int, ...]:
        """Of a new input: images are large enough to be computed by rows."""
        if rank == 4 and self.rng.random() < 0.8:
            return 1, self.pick(4, 6, 7), self.pick(3, 5), self.pick(1, 2, 5)
        return tuple(self.pick(1, 1, 2, 3) for _ in range(rank))

    def input(self, shape: tuple[int, ...]) -> Value:
        x = self.value(shape, 0.05, int(self.rng.integers(-20, 20)))
        self.inputs.append(x)
        return x

    def value(self, shape: tuple[int, ...], scale: float, zero_point: int) -> Value:
        shape = tuple(map(int, shape))
        x = Value(self.builder.tensor(shape, scale=scale, zero_point=zero_point), shape, scale, zero_point)
        self.values.append(x)
        return x

    def integers(self, values: object) -> int:
        return self.builder.constant(np.array(values, np.int32))

    def emit(self, name: str, operands: list[Value | int], y: Value, **options: int | float | bool | list[int]) -> None:
        indices = [x.index if isinstance(x, Value) else x for x in operands]
        self.read.update(indices)
        self.builder.op(name, indices, [y.index], **options)

    def rescaled(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Of an operator that requantises."""
        return self.value(shape, x.scale * float(self.rng.uniform(0.6, 1.4)), int(self.rng.integers(-30, 30)))

    def relabelled(self, x: Value, shape: tuple[int, ...]) -> Value:
        """Of an operator that copies bytes, whatever scale and zero point the file gives to its result."""
        return self.rescaled(x, shape) if self.rng.random() < 0.3 else self.value(shape, x.scale, x.zero_point)

    def factors(self, elements: int) -> tuple[int, ...]:
        """A shape of any rank with so many elements."""
        rank, sizes = int(self.rng.integers(MAX_RANK + 1)), list[int]()
        while len(sizes) < rank - 1:
            sizes.append(self.pick(*(n for n in range(1, 5) if elements % (n * prod(sizes)) == 0)))
        last = elements // prod(sizes)
        return (*sizes, last) if rank or last != 1 else ()

    # Operators

    def mean(self, x: Value) -> None:
        rank = len(x.shape)
        axes = tuple(axis for axis in range(rank) if self.rng.random() < 0.5)
        keep = bool(self.rng.random() < 0.5)
        written = [axis - rank if self.rng.random() < 0.3 else axis for axis in axes]
        shape = np.zeros(x.shape, np.int8).sum(axis=axes, keepdims=keep).shape
        self.emit("MEAN", [x, self.integers(written)], self.rescaled(x, shape), KeepDims=keep)

    def reshape(self, x: Value) -> None:
        shape = self.factors(prod(x.shape))
        self.emit("RESHAPE", [x, self.integers(shape)], self.relabelled(x, shape))

    def squeeze(self, x: Value) -> None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1 and self.rng.random() < 0.7]
        gone = axes or [axis for axis, size in enumerate(x.shape) if size == 1]
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in gone)
        self.emit("SQUEEZE", [x], self.relabelled(x, shape), SqueezeDims=axes)

    def expand_dims(self, x: Value) -> None:
        axis = int(self.rng.integers(len(x.shape) + 1))
        shape = (*x.shape[:axis], 1, *x.shape[axis:])
        self.emit("EXPAND_DIMS", [x, self.integers(axis)], self.value(shape, x.scale, x.zero_point))

    def transpose(self, x: Value) -> None:
        permutation = self.rng.permutation(len(x.shape))
        if len(x.shape) == 4 and self.rng.random() < 0.4:
            permutation = np.array([0, 2, 3, 1])
        shape = tuple(x.shape[axis] for axis in permutation)
        self.emit("TRANSPOSE", [x, self.integers(permutation)], self.relabelled(x, shape))

    def pad(self, x: Value) -> None:
        amounts = self.rng.integers(0, 2, (len(x.shape), 2)) * self.rng.integers(0, 3, (len(x.shape), 2))
        if len(x.shape) == 4 and self.rng.random() < 0.5:
            amounts[[0, 3]] = 0
        shape = tuple(np.array(x.shape) + amounts.sum(axis=1))
        if prod(shape) > MAX_ELEMENTS:
            return
        y = self.relabelled(x, shape)
        if self.rng.random() < 0.3:
            fill = self.builder.constant(np.array(self.pick(-128, 5, x.zero_point), np.int8), y.scale, y.zero_point)
            self.emit("PADV2", [x, self.integers(amounts), fill], y)
        else:
            self.emit("PAD", [x, self.integers(amounts)], y)

    def concatenate(self, x: Value) -> None:
        """With any values of the same scale that fit, itself included."""
        axis = int(self.rng.integers(len(x.shape)))

        def rest(shape: tuple[int, ...]) -> tuple[int, ...]:
            return (*shape[:axis], *shape[axis + 1 :])

        same = [v for v in self.values if (v.scale, v.zero_point) == (x.scale, x.zero_point)]
        fitting = [v for v in same if len(v.shape) == len(x.shape) and rest(v.shape) == rest(x.shape)]
        operands = [x, *(self.any(fitting) for _ in range(self.pick(1, 2)))]
        total = sum(v.shape[axis] for v in operands)
        shape = (*x.shape[:axis], total, *x.shape[axis + 1 :])
        if prod(shape) > MAX_ELEMENTS:
            return
        y = self.value(shape, x.scale, x.zero_point)
        written = axis - len(x.shape) if self.rng.random() < 0.3 else axis
        self.emit("CONCATENATION", [*operands], y, Axis=written, FusedActivationFunction=NONE)

    def strided_slice(self, x: Value) -> None:
        """Every first, second or third element from somewhere on, forwards or backwards."""
        begin = [int(self.rng.integers(n)) for n in x.shape]
        steps = [int(self.rng.choice([1, 1, 1, 2, -1])) for _ in x.shape]
        shape = tuple(len(range(n)[first::step]) for n, first, step in zip(x.shape, begin, steps, strict=True))
        ends = (1 << len(x.shape)) - 1
        operands = [x, *map(self.integers, (begin, [0] * len(begin), steps))]
        self.emit("STRIDED_SLICE", operands, self.relabelled(x, shape), EndMask=ends)

    def split(self, x: Value) -> None:
        """Into all its elements along an axis, or halves."""
        axis = int(self.rng.integers(len(x.shape)))
        size = x.shape[axis]
        count = 2 if size % 2 == 0 and self.rng.random() < 0.5 else size
        shape = (*x.shape[:axis], size // count, *x.shape[axis + 1 :])
        pieces = [self.value(shape, x.scale, x.zero_point) for _ in range(count)]
        self.read.add(x.index)
        self.builder.op("SPLIT", [self.integers(axis), x.index], [y.index for y in pieces], NumSplits=count)

    def pack(self, x: Value) -> None:
        """With another value of the same shape and scale, if there is one, or itself."""
        axis = int(self.rng.integers(len(x.shape) + 1))
        if 2 * prod(x.shape) > MAX_ELEMENTS:
            return
        same = [v for v in self.values if (v.shape, v.scale, v.zero_point) == (x.shape, x.scale, x.zero_point)]
        shape = (*x.shape[:axis], 2, *x.shape[axis:])
        self.emit("PACK", [x, self.any(same)], self.value(shape, x.scale, x.zero_point), ValuesCount=2, Axis=axis)

    def tile(self, x: Value) -> None:
        multiples = self.rng.integers(1, 3, len(x.shape))
        shape = tuple(np.array(x.shape) * multiples)
        if prod(shape) <= MAX_ELEMENTS:
            self.emit("TILE", [x, self.integers(multiples)], self.relabelled(x, shape))

    def mirror_pad(self, x: Value) -> None:
        amounts = [[int(self.rng.integers(n)) for _ in range(2)] for n in x.shape]
        shape = tuple(np.array(x.shape) + np.array(amounts).sum(axis=1))
        if prod(shape) <= MAX_ELEMENTS:
            y = self.value(shape, x.scale, x.zero_point)
            self.emit("MIRROR_PAD", [x, self.integers(amounts)], y, Mode=self.pick(0, 1))

    def gather(self, x: Value) -> None:
        axis = int(self.rng.integers(len(x.shape)))
        indices = self.rng.integers(0, x.shape[axis], self.pick(1, 2, 4))
        shape = (*x.shape[:axis], len(indices), *x.shape[axis + 1 :])
        if prod(shape) <= MAX_ELEMENTS:
            self.emit("GATHER", [x, self.integers(indices)], self.relabelled(x, shape), Axis=axis)

    def binary(self, x: Value) -> None:
        """With a value that broadcasts, a constant, or another input."""
        other = self.operand(x)
        y_shape = np.broadcast_shapes(x.shape, other.shape)
        name = str(self.rng.choice(["ADD", "SUB", "MUL"]))
        scale = x.scale * other.scale * 60 if name == "MUL" else (x.scale + other.scale) * 0.8
        y = self.value(y_shape, scale, int(self.rng.integers(-30, 30)))
        operands: list[Value | int] = [x, other] if self.rng.random() < 0.5 else [other, x]
        self.emit(name, operands, y, FusedActivationFunction=self.pick(NONE, NONE, RELU, RELU6))

    def operand(self, x: Value) -> Value:
        def broadcasts(v: Value) -> bool:
            try:
                return prod(np.broadcast_shapes(v.shape, x.shape)) <= MAX_ELEMENTS
            except ValueError:
                return False

        choice = self.rng.random()
        if choice < 0.4:
            return self.any([v for v in self.values if broadcasts(v)])
        shape = tuple(1 if self.rng.random() < 0.4 else size for size in x.shape)
        shape = shape[int(self.rng.integers(len(shape) + 1)) :]
        if choice < 0.5:
            return self.input(shape)
        quant = float(self.rng.uniform(0.01, 0.1)), int(self.rng.integers(-20, 20))
        index = self.builder.constant(self.rng.integers(-128, 128, shape).astype(np.int8), *quant)
        return Value(index, shape, *quant)

    def unary(self, x: Value) -> None:
        name = str(self.rng.choice(["RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH", "TANH", "LOGISTIC"]))
        name = "QUANTIZE" if self.rng.random() < 0.2 else name
        options = {"Alpha": 0.25} if name == "LEAKY_RELU" else {}
        y = self.value(x.shape, 1 / 256, -128) if name == "LOGISTIC" else self.rescaled(x, x.shape)
        self.emit(name, [x], y, **options)

    def softmax(self, x: Value) -> None:
        self.emit("SOFTMAX", [x], self.value(x.shape, 1 / 256, -128), Beta=float(self.rng.choice([1.0, 0.7])))

    def fully_connected(self, x: Value) -> None:
        keep = bool(x.shape and self.rng.random() < 0.6)
        depth = x.shape[-1] if x.shape and (keep or self.rng.random() < 0.5) else prod(x.shape)
        outputs = self.pick(1, 2, 5)
        scales = self.rng.uniform(0.005, 0.02, self.pick(1, outputs)).astype(np.float32)
        weights = self.builder.constant(self.rng.integers(-127, 128, (outputs, depth)).astype(np.int8), scales, axis=0)
        operands: list[Value | int] = [x, weights]
        if self.rng.random() < 0.7:
            bias = self.rng.integers(-2000, 2000, outputs).astype(np.int32)
            operands.append(self.builder.constant(bias, scales * np.float32(x.scale)))
        rows = x.shape[:-1] if keep else (prod(x.shape) // depth,)
        y = self.value((*rows, outputs), x.scale * float(scales.mean()) * 60 * depth**0.5, self.pick(-128, 0, 7))
        self.emit("FULLY_CONNECTED", operands, y, KeepNumDims=keep, FusedActivationFunction=self.pick(NONE, RELU))

    def pool(self, x: Value) -> None:
        kernel = [self.pick(1, 2, min(3, n), n) if n > 1 else 1 for n in x.shape[1:3]]
        stride = [self.pick(1, 2), self.pick(1, 2)]
        valid = all(k <= n for k, n in zip(kernel, x.shape[1:3], strict=True)) and self.rng.random() < 0.5
        cut = kernel if valid else [1, 1]
        size = [-(-(n - c + 1) // s) for n, c, s in zip(x.shape[1:3], cut, stride, strict=True)]
        name = str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        y = self.relabelled(x, (1, *size, x.shape[3]))
        fields = {"FilterHeight": kernel[0], "FilterWidth": kernel[1], "StrideH": stride[0], "StrideW": stride[1]}
        fields |= {"Padding": VALID if valid else SAME, "FusedActivationFunction": self.pick(NONE, RELU, RELU6)}
        self.emit(name, [x], y, **fields)

    def convolution(self, x: Value) -> None:
        kernel, stride = (self.pick(1, 2, 3), self.pick(1, 2, 3)), (self.pick(1, 2), self.pick(1, 2))
        depthwise = self.rng.random() < 0.5
        channels, depth = x.shape[3], kernel[0] * kernel[1] * (1 if depthwise else x.shape[3])
        outputs = channels if depthwise else self.pick(1, 3, 4)
        scales = self.rng.uniform(0.004, 0.01, outputs).astype(np.float32)
        shape = (1, *kernel, channels) if depthwise else (outputs, *kernel, channels)
        values = self.rng.integers(-100, 101, shape).astype(np.int8)
        weights = self.builder.constant(values, scales, axis=3 if depthwise else 0)
        bias = self.builder.constant(
            self.rng.integers(-900, 900, outputs).astype(np.int32), scales * np.float32(x.scale)
        )
        size = [-(-n // s) for n, s in zip(x.shape[1:3], stride, strict=True)]
        y = self.value((1, *size, outputs), x.scale * 0.007 * 60 * depth**0.5, self.pick(-128, 0, 9))
        fields = {"StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": 1, "DilationWFactor": 1}
        fields |= {"Padding": SAME, "FusedActivationFunction": self.pick(NONE, RELU)}
        if depthwise:
            self.emit("DEPTHWISE_CONV_2D", [x, weights, bias], y, DepthMultiplier=1, **fields)
        else:
            self.emit("CONV_2D", [x, weights, bias], y, **fields)

    def resize(self, x: Value) -> None:
        size = [self.pick(1, 2) * x.shape[1], self.pick(1, 2) * x.shape[2]]
        if prod(size) * x.shape[3] > MAX_ELEMENTS:
            return
        y = self.relabelled(x, (1, *size, x.shape[3]))
        self.emit("RESIZE_NEAREST_NEIGHBOR", [x, self.integers(size)], y, HalfPixelCenters=bool(self.pick(0, 1)))
