"""Random ONNX networks of tensors with 0 to 6 axes, quantised (QDQ) or in float32."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import onnx

from tests.support.onnx_builder import OnnxBuilder

MAX_RANK = 6
MAX_ELEMENTS = 600


@dataclass(frozen=True)
class Real:
    """A float value: its name, shape, and roughly its largest magnitude."""

    name: str
    shape: tuple[int, ...]
    size: float


@dataclass
class RandomOnnxRanks:
    """Grows a network operator by operator; everything follows from the seed.

    Attributes:
        quantized: every value is quantised; its scale is sometimes its operand's.
    """

    seed: int
    quantized: bool = True
    builder: OnnxBuilder = field(default_factory=OnnxBuilder)
    inputs: list[Real] = field(default_factory=list)
    values: list[Real] = field(default_factory=list)
    read: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def build(self, steps: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
        """(model, values of its inputs); what nobody reads is an output."""
        self.input(self.shape(4 if self.rng.random() < 0.3 else int(self.rng.integers(MAX_RANK + 1))))
        done = 0
        while done < steps:
            x = self.values[-1] if self.rng.random() < 0.75 else self.any(self.values)
            possible = [step for step, admits in self.steps() if admits(len(x.shape), x.shape)]
            before = len(self.values)
            possible[int(self.rng.integers(len(possible)))](x)
            done += len(self.values) > before
        for v in self.values:
            if v.name not in self.read and v not in self.inputs:
                self.builder.output(v.name)
        data = {v.name: self.rng.uniform(-v.size, v.size, v.shape).astype(np.float32) for v in self.inputs}
        return self.builder.model(), {info.name: data[info.name] for info in self.builder.inputs}

    def steps(self) -> list[tuple[Callable[[Real], None], Callable[[int, tuple[int, ...]], bool]]]:
        def image(rank: int, shape: tuple[int, ...]) -> bool:
            return rank == 4 and shape[0] == 1

        return [
            *[(self.mean, lambda rank, _: rank > 0)] * 2,
            *[(self.reshape, lambda *_: True)] * 2,
            (self.squeeze, lambda _, shape: 1 in shape),
            (self.unsqueeze, lambda rank, _: rank < MAX_RANK),
            (self.flatten, lambda rank, _: rank > 0),
            (self.transpose, lambda rank, _: rank > 0),
            (self.pad, lambda rank, _: rank > 0),
            (self.concatenate, lambda rank, _: rank > 0),
            (self.slice, lambda rank, _: rank > 0),
            *[(self.binary, lambda *_: True)] * 2,
            (self.unary, lambda *_: True),
            (self.softmax, lambda rank, _: rank > 0),
            (self.matmul, lambda rank, _: rank > 1),
            *[(self.pool, image)] * 3,
            *[(self.convolution, image)] * 2,
        ]

    # Values

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def any(self, values: list[Real]) -> Real:
        return values[int(self.rng.integers(len(values)))]

    def shape(self, rank: int) -> tuple[int, ...]:
        if rank == 4 and self.rng.random() < 0.8:
            return 1, self.pick(1, 2, 5), self.pick(4, 6, 7), self.pick(3, 5)
        return tuple(self.pick(1, 1, 2, 3) for _ in range(rank))

    def input(self, shape: tuple[int, ...]) -> Real:
        name = self.builder.input(shape, name=f"x{len(self.inputs)}")
        x = Real(name, shape, 2.0)
        self.inputs.append(x)
        value = Real(self.rounded(name, 2.0), shape, 2.0)
        self.read.add(name)
        self.values.append(value)
        return value

    def rounded(self, name: str, size: float) -> str:
        if not self.quantized:
            return name
        dtype = str(self.rng.choice(["int8", "uint8"]))
        zero_point = int(self.rng.integers(-40, 40)) + (128 if dtype == "uint8" else 0)
        return self.builder.activation(name, float(np.float32(size / 100)), zero_point, dtype)

    def emit(self, kind: str, operands: list[Real | str], shape: tuple[int, ...], size: float, **options: Any) -> None:
        names = [x.name if isinstance(x, Real) else x for x in operands]
        self.read.update(names)
        name = self.builder.node(kind, *names, **options)
        size *= float(self.rng.choice([1.0, 0.7, 1.3]))
        self.values.append(Real(self.rounded(name, size), tuple(map(int, shape)), size))

    def integers(self, values: object) -> str:
        return self.builder.constant(values, np.int64)

    # Operators

    def mean(self, x: Real) -> None:
        rank = len(x.shape)
        axes = [axis for axis in range(rank) if self.rng.random() < 0.5] or [int(self.rng.integers(rank))]
        keep = self.pick(0, 1)
        shape = np.zeros(x.shape).sum(axis=tuple(axes), keepdims=bool(keep)).shape
        written = [axis - rank if self.rng.random() < 0.3 else axis for axis in axes]
        self.emit("ReduceMean", [x], shape, x.size, axes=written, keepdims=keep)

    def reshape(self, x: Real) -> None:
        rank, sizes, elements = int(self.rng.integers(MAX_RANK + 1)), list[int](), prod(x.shape)
        while len(sizes) < rank - 1:
            sizes.append(self.pick(*(n for n in range(1, 5) if elements % (n * prod(sizes)) == 0)))
        last = elements // prod(sizes)
        shape = (*sizes, last) if rank or last != 1 else ()
        self.emit("Reshape", [x, self.integers(np.array(shape, np.int64))], shape, x.size)

    def squeeze(self, x: Real) -> None:
        axes = [axis for axis, size in enumerate(x.shape) if size == 1 and self.rng.random() < 0.7]
        gone = axes or [axis for axis, size in enumerate(x.shape) if size == 1]
        shape = tuple(size for axis, size in enumerate(x.shape) if axis not in gone)
        self.emit("Squeeze", [x, self.integers(axes)] if axes else [x], shape, x.size)

    def unsqueeze(self, x: Real) -> None:
        axis = int(self.rng.integers(len(x.shape) + 1))
        self.emit("Unsqueeze", [x, self.integers([axis])], (*x.shape[:axis], 1, *x.shape[axis:]), x.size)

    def flatten(self, x: Real) -> None:
        axis = int(self.rng.integers(len(x.shape) + 1))
        self.emit("Flatten", [x], (prod(x.shape[:axis]), prod(x.shape[axis:])), x.size, axis=axis)

    def transpose(self, x: Real) -> None:
        permutation = [int(axis) for axis in self.rng.permutation(len(x.shape))]
        self.emit("Transpose", [x], tuple(x.shape[axis] for axis in permutation), x.size, perm=permutation)

    def pad(self, x: Real) -> None:
        amounts = self.rng.integers(0, 2, (2, len(x.shape))) * self.rng.integers(0, 3, (2, len(x.shape)))
        shape = tuple(np.array(x.shape) + amounts.sum(axis=0))
        if prod(shape) <= MAX_ELEMENTS:
            self.emit("Pad", [x, self.integers(amounts.ravel())], shape, x.size)

    def concatenate(self, x: Real) -> None:
        axis = int(self.rng.integers(len(x.shape)))

        def rest(shape: tuple[int, ...]) -> tuple[int, ...]:
            return (*shape[:axis], *shape[axis + 1 :])

        fitting = [v for v in self.values if len(v.shape) == len(x.shape) and rest(v.shape) == rest(x.shape)]
        operands = [x, *(self.any(fitting) for _ in range(self.pick(1, 2)))]
        shape = (*x.shape[:axis], sum(v.shape[axis] for v in operands), *x.shape[axis + 1 :])
        if prod(shape) <= MAX_ELEMENTS:
            self.emit("Concat", [*operands], shape, max(v.size for v in operands), axis=axis)

    def slice(self, x: Real) -> None:
        axis = int(self.rng.integers(len(x.shape)))
        start, step = int(self.rng.integers(x.shape[axis])), self.pick(1, 2)
        count = len(range(start, x.shape[axis], step))
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        ends = [[start], [x.shape[axis]], [axis], [step]]
        self.emit("Slice", [x, *(self.integers(value) for value in ends)], shape, x.size)

    def binary(self, x: Real) -> None:
        other = self.operand(x)
        shape = np.broadcast_shapes(x.shape, other.shape)
        kind = str(self.rng.choice(["Add", "Sub", "Mul"]))
        size = x.size * other.size if kind == "Mul" else x.size + other.size
        self.emit(kind, [x, other] if self.rng.random() < 0.5 else [other, x], shape, size)

    def operand(self, x: Real) -> Real:
        def broadcasts(v: Real) -> bool:
            try:
                return prod(np.broadcast_shapes(v.shape, x.shape)) <= MAX_ELEMENTS
            except ValueError:
                return False

        if self.rng.random() < 0.4:
            return self.any([v for v in self.values if broadcasts(v)])
        shape = tuple(1 if self.rng.random() < 0.4 else size for size in x.shape)
        shape = shape[int(self.rng.integers(len(shape) + 1)) :]
        if self.rng.random() < 0.2:
            return self.input(shape)
        if not self.quantized:
            return Real(self.builder.constant(self.rng.uniform(-1, 1, shape), np.float32), shape, 1.0)
        values = self.rng.integers(-128, 128, shape).astype(np.int8)
        return Real(self.builder.weights(values, np.float32(0.01), int(self.rng.integers(-20, 20))), shape, 1.3)

    def unary(self, x: Real) -> None:
        kind = str(self.rng.choice(["Relu", "LeakyRelu", "Sigmoid", "Tanh", "HardSwish", "Abs", "Neg"]))
        self.emit(kind, [x], x.shape, 1.0 if kind in ("Sigmoid", "Tanh") else x.size)

    def softmax(self, x: Real) -> None:
        self.emit("Softmax", [x], x.shape, 1.0, axis=int(self.rng.integers(-len(x.shape), len(x.shape))))

    def matmul(self, x: Real) -> None:
        shape = (x.shape[-1], self.pick(1, 2, 5))
        self.emit("MatMul", [x, self.weights(shape)], (*x.shape[:-1], shape[1]), x.size * shape[0] ** 0.5)

    def weights(self, shape: tuple[int, ...]) -> str:
        if not self.quantized:
            return self.builder.constant(self.rng.uniform(-1, 1, shape), np.float32)
        return self.builder.weights(self.rng.integers(-127, 128, shape).astype(np.int8), np.float32(0.008), 0)

    def pool(self, x: Real) -> None:
        kind = str(self.rng.choice(["MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"]))
        if kind.startswith("Global"):
            self.emit(kind, [x], (1, x.shape[1], 1, 1), x.size)
            return
        kernel = [int(self.rng.integers(1, min(3, n) + 1)) for n in x.shape[2:]]
        strides = [self.pick(1, 2), self.pick(1, 2)]
        size = [(n - k) // s + 1 for n, k, s in zip(x.shape[2:], kernel, strides, strict=True)]
        self.emit(kind, [x], (1, x.shape[1], *size), x.size, kernel_shape=kernel, strides=strides)

    def convolution(self, x: Real) -> None:
        outputs, kernel = self.pick(1, 3, 4), [self.pick(1, 3), self.pick(1, 3)]
        shape = (outputs, x.shape[1], *kernel)
        pads = [kernel[0] // 2, kernel[1] // 2] * 2
        size = x.size * prod(shape[1:]) ** 0.5
        self.emit("Conv", [x, self.weights(shape)], (1, outputs, *x.shape[2:]), size, kernel_shape=kernel, pads=pads)
