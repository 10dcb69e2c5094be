"""Random ONNX networks of which only some tensors are quantised: what stands between them is arranged at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx

from tests.support.onnx_builder import OnnxBuilder

SHAPE = (1, 4, 6, 6)
SCALES = (0.05, 0.1, 0.03, 0.0717, 0.25)
"""Some of them multiples of each other, for ties."""


@dataclass(frozen=True)
class Real:
    """A float value: its name and shape."""

    name: str
    shape: tuple[int, ...]

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 4


@dataclass
class RandomOnnxRegions:
    """Grows a network operator by operator; everything follows from the seed."""

    seed: int
    builder: OnnxBuilder = field(default_factory=OnnxBuilder)
    values: list[Real] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def build(self) -> onnx.ModelProto:
        """One input "x" of `SHAPE`, quantised, and one or two outputs, which are dequantised."""
        self.values.append(self.quantized(Real(self.builder.input(SHAPE), SHAPE)))
        for _ in range(self.rng.integers(2, 8)):
            result = self.step(self.values[-1 - self.rng.integers(min(3, len(self.values)))])
            self.values.append(self.quantized(result) if self.rng.random() < 0.55 else result)
        for value in self.values[-1:-3:-1] if len(self.values) > 2 else self.values[-1:]:
            self.builder.output(self.quantized(value).name)
        return self.builder.model()

    def inputs(self) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(self.seed).normal(0, 2, SHAPE).astype(np.float32)}

    def step(self, x: Real) -> Real:
        """Another value from this one, and sometimes from one of its shape."""
        steps: list[Callable[[Real], Real]] = [self.function, self.clip, self.scalar, self.pair, self.chosen]
        steps += [self.sliced, self.reduced, self.softmax, self.reshaped]
        if x.is_image:
            steps += [self.by_channel, self.convolved, self.transposed, self.joined, self.padded, self.averaged]
            steps += [self.pooled] if min(x.shape[2:]) > 1 else []
        return steps[self.rng.integers(len(steps))](x)

    def quantized(self, x: Real) -> Real:
        dtype = ("int8", "uint8")[self.rng.integers(2)]
        zero_point = int(self.rng.integers(-60, 60)) + (128 if dtype == "uint8" else 0)
        return Real(self.builder.activation(x.name, float(self.rng.choice(SCALES)), zero_point, dtype), x.shape)

    def node(self, kinds: str, *operands: str, shape: tuple[int, ...], **attributes: object) -> Real:
        """Of one of these kinds."""
        kind = str(self.rng.choice(kinds.split()))
        return Real(self.builder.node(kind, *operands, **attributes), shape)

    def number(self, value: object) -> str:
        return self.builder.constant(value, np.float32)

    def integers(self, *values: int) -> str:
        return self.builder.constant(values, np.int64)

    def like(self, x: Real) -> Real:
        """A value of the same shape."""
        same = [value for value in self.values if value.shape == x.shape]
        return same[self.rng.integers(len(same))]

    # Element by element.

    def function(self, x: Real) -> Real:
        return self.node("Relu Sigmoid Tanh Neg Abs HardSwish Exp Floor Softplus", x.name, shape=x.shape)

    def clip(self, x: Real) -> Real:
        low, high = self.rng.uniform(0, 3, 2)
        return self.node("Clip", x.name, self.number(-low), self.number(high), shape=x.shape)

    def scalar(self, x: Real) -> Real:
        operands = [x.name, self.number(self.rng.choice([0.5, 1.7, -0.8, 2.0, 0.25]))]
        return self.node("Mul Add Sub Div Max Min", *operands[:: self.rng.choice([1, 1, -1])], shape=x.shape)

    def by_channel(self, x: Real) -> Real:
        constants = self.number(self.rng.uniform(0.1, 2, (x.shape[1], 1, 1)))
        return self.node("Mul Add PRelu Max", x.name, constants, shape=x.shape)

    def pair(self, x: Real) -> Real:
        return self.node("Mul Add Sub Max Min", x.name, self.like(x).name, shape=x.shape)

    def chosen(self, x: Real) -> Real:
        other = self.like(x).name
        limit = self.number(self.rng.uniform(-1, 1)) if self.rng.integers(2) else other
        condition = self.node("Greater Less", x.name, limit, shape=x.shape).name
        return self.node("Where", condition, x.name, other if self.rng.integers(2) else self.number(0.3), shape=x.shape)

    # Sums.

    def convolved(self, x: Real) -> Real:
        channels = SHAPE[1]
        values = self.rng.integers(-128, 128, (channels, x.shape[1], 3, 3)).astype(np.int8)
        weights = self.builder.weights(values, self.rng.uniform(0.001, 0.01, channels), np.zeros(channels))
        return self.node("Conv", x.name, weights, pads=[1, 1, 1, 1], shape=(1, channels, *x.shape[2:]))

    def averaged(self, x: Real) -> Real:
        return self.node("GlobalAveragePool", x.name, shape=(*x.shape[:2], 1, 1))

    def reduced(self, x: Real) -> Real:
        last = len(x.shape) - 1
        return self.node("ReduceMax ReduceMean ReduceMin", x.name, axes=[last], keepdims=1, shape=(*x.shape[:-1], 1))

    def softmax(self, x: Real) -> Real:
        return self.node("Softmax", x.name, axis=-1, shape=x.shape)

    # Elsewhere.

    def pooled(self, x: Real) -> Real:
        n, c, h, w = x.shape
        return self.node("MaxPool", x.name, kernel_shape=[2, 2], shape=(n, c, h - 1, w - 1))

    def transposed(self, x: Real) -> Real:
        n, c, h, w = x.shape
        return self.node("Transpose", x.name, perm=[0, 1, 3, 2], shape=(n, c, w, h))

    def joined(self, x: Real) -> Real:
        n, c, h, w = x.shape
        return self.node("Concat", x.name, self.like(x).name, axis=1, shape=(n, 2 * c, h, w))

    def padded(self, x: Real) -> Real:
        n, c, h, w = x.shape
        operands = self.integers(0, 0, 1, 0, 0, 0, 0, 1), self.number(self.rng.uniform(-1, 1))
        return self.node("Pad", x.name, *operands, shape=(n, c, h + 1, w + 1))

    def sliced(self, x: Real) -> Real:
        if x.shape[-1] < 2:
            return self.function(x)
        operands = (self.integers(n) for n in (1, 100, -1))
        return self.node("Slice", x.name, *operands, shape=(*x.shape[:-1], x.shape[-1] - 1))

    def reshaped(self, x: Real) -> Real:
        shape = (1, prod(x.shape) // x.shape[-1], x.shape[-1])
        return self.node("Reshape", x.name, self.integers(*shape), shape=shape)
