"""Random int8 TFLite networks: convolutions of all kinds, residuals, pools, concatenations, a classifier at the end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from tests.support.tflite_builder import NONE, RELU, RELU6, SAME, VALID, TfliteBuilder


@dataclass(frozen=True)
class Value:
    """A tensor of the network being made: index in the file, shape (1, h, w, c), scale, zero point."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


@dataclass
class RandomModel:
    """Grows a network operator by operator; everything follows from the seed."""

    seed: int
    builder: TfliteBuilder = field(default_factory=TfliteBuilder)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def value(self, shape: tuple[int, ...], scale: float, zero_point: int) -> Value:
        return Value(self.builder.tensor(shape, scale=scale, zero_point=zero_point), shape, scale, zero_point)

    def activation(self) -> tuple[int, int]:
        """(fused activation, output zero point)."""
        if self.rng.random() < 0.5:
            return self.pick(RELU, RELU6), -128
        return NONE, int(self.rng.integers(-30, 30))

    def weights(self, x: Value, shape: tuple[int, ...], axis: int, depth: int) -> tuple[int, int, np.ndarray]:
        """(weights, bias, scales); now and then a channel without weights, or one per-tensor scale."""
        channels = shape[axis]
        per_channel = self.rng.random() < 0.8
        scales = self.rng.uniform(0.002, 0.008, channels if per_channel else 1).astype(np.float32)
        values = np.clip(np.round(self.rng.normal(0, 38, shape)), -127, 127).astype(np.int8)
        empty = self.rng.random(channels) < 0.15
        values[tuple(empty if i == axis else slice(None) for i in range(len(shape)))] = 0
        bias = self.rng.integers(-3000, 3000, channels).astype(np.int32) * int(1 + depth**0.5)
        index = self.builder.constant(values, scale=scales, axis=axis)
        return index, self.builder.constant(bias, scale=scales * np.float32(x.scale)), scales

    def window(self, x: Value, kernel: tuple[int, int]) -> tuple[dict[str, int], tuple[int, int]]:
        """(stride, dilation and padding fields, output height and width)."""
        stride = (self.pick(1, 1, 2, 3), self.pick(1, 1, 2, 3))
        dilation = (self.pick(1, 1, 2), self.pick(1, 1, 2)) if stride == (1, 1) else (1, 1)
        span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
        valid = all(x.shape[i + 1] >= span[i] for i in range(2)) and self.rng.random() < 0.4
        fields = {"StrideH": stride[0], "StrideW": stride[1], "Padding": VALID if valid else SAME}
        fields |= {"DilationHFactor": dilation[0], "DilationWFactor": dilation[1]}
        cut = span if valid else [1, 1]
        return fields, tuple(-(-(x.shape[i + 1] - cut[i] + 1) // stride[i]) for i in range(2))

    def kernel(self) -> tuple[int, int]:
        return self.pick(1, 2, 3, 3, 5), self.pick(1, 2, 3, 3, 5)

    def convolution(self, x: Value) -> Value:
        kernel = (1, 1) if self.rng.random() < 0.4 else self.kernel()
        fields, size = self.window(x, kernel)
        outputs = self.pick(1, 3, 4, 5, 7, 8, 10, 16)
        return self.linear("CONV_2D", x, (outputs, *kernel, x.shape[3]), 0, (1, *size, outputs), fields)

    def depthwise(self, x: Value) -> Value:
        kernel = self.kernel()
        fields, size = self.window(x, kernel)
        multiplier = self.pick(1, 1, 1, 2)
        outputs = x.shape[3] * multiplier
        fields["DepthMultiplier"] = multiplier
        return self.linear("DEPTHWISE_CONV_2D", x, (1, *kernel, outputs), 3, (1, *size, outputs), fields)

    def linear(
        self, name: str, x: Value, weights: tuple[int, ...], axis: int, output: tuple[int, ...], fields: dict[str, int]
    ) -> Value:
        depth = int(np.prod(weights)) // weights[axis]
        index, bias, scales = self.weights(x, weights, axis, depth)
        activation, zero_point = self.activation()
        scale = x.scale * float(scales.mean()) * 38 * 73 * depth**0.5 * 2.5 / 127
        y = self.value(output, scale, zero_point)
        self.builder.op(name, [x.index, index, bias], [y.index], FusedActivationFunction=activation, **fields)
        return y

    def residual(self, x: Value) -> Value:
        """x combined with a pointwise convolution of itself."""
        shape = (x.shape[3], 1, 1, x.shape[3])
        fields = {"StrideH": 1, "StrideW": 1, "Padding": SAME, "DilationHFactor": 1, "DilationWFactor": 1}
        other = self.linear("CONV_2D", x, shape, 0, x.shape, fields)
        activation, zero_point = self.activation()
        name = str(self.rng.choice(["ADD", "SUB", "MUL"]))
        scale = x.scale * other.scale * 50 if name == "MUL" else (x.scale + other.scale) * 0.8
        y = self.value(x.shape, scale, zero_point)
        self.builder.op(name, [x.index, other.index], [y.index], FusedActivationFunction=activation)
        return y

    def pool(self, x: Value) -> Value:
        size = (self.pick(1, 2, 3), self.pick(1, 2, 3))
        stride = (self.pick(1, 2, 3), self.pick(1, 2))
        output = tuple(-(-x.shape[i + 1] // stride[i]) for i in range(2))
        y = self.value((1, *output, x.shape[3]), x.scale, x.zero_point)
        fields = {"FilterHeight": size[0], "FilterWidth": size[1], "StrideH": stride[0], "StrideW": stride[1]}
        name = str(self.rng.choice(["MAX_POOL_2D", "AVERAGE_POOL_2D"]))
        self.builder.op(name, [x.index], [y.index], Padding=SAME, FusedActivationFunction=NONE, **fields)
        return y

    def pad(self, x: Value) -> Value:
        amounts = np.zeros((4, 2), np.int32)
        amounts[1:3] = self.rng.integers(0, 3, (2, 2))
        shape = tuple(int(s + a) for s, a in zip(x.shape, amounts.sum(axis=1), strict=True))
        y = self.value(shape, x.scale, x.zero_point)
        self.builder.op("PAD", [x.index, self.builder.constant(amounts)], [y.index])
        return y

    def concatenate(self, x: Value) -> Value:
        axis = self.pick(1, 3)
        shape = tuple(s * 2 if i == axis else s for i, s in enumerate(x.shape))
        y = self.value(shape, x.scale, x.zero_point)
        self.builder.op("CONCATENATION", [x.index, x.index], [y.index], Axis=axis, FusedActivationFunction=NONE)
        return y

    def head(self, x: Value) -> Value:
        """Global mean, classifier, softmax."""
        channels, classes = x.shape[3], self.pick(2, 3, 10, 17)
        mean = self.value((1, channels), x.scale * 0.5, 3)
        self.builder.op("MEAN", [x.index, self.builder.constant(np.array([1, 2], np.int32))], [mean.index])
        scores = self.linear("FULLY_CONNECTED", mean, (classes, channels), 0, (1, classes), {})
        y = self.value((1, classes), 1 / 256, -128)
        self.builder.op("SOFTMAX", [scores.index], [y.index], Beta=1.0)
        return y

    def build(self, layers: int) -> tuple[bytes, tuple[int, ...]]:
        """(file, input shape)."""
        shape = (1, self.pick(5, 8, 11, 16), self.pick(5, 8, 11, 16), self.pick(1, 3, 4, 6))
        x = first = self.value(shape, 0.05, int(self.rng.integers(-128, 128)))
        steps: list[Callable[[Value], Value]] = [self.convolution, self.convolution, self.depthwise, self.depthwise]
        steps += [self.residual, self.pool, self.pad, self.concatenate]
        for _ in range(layers):
            x = steps[int(self.rng.integers(len(steps)))](x)
        y = self.head(x)
        return self.builder.build([first.index], [y.index]), shape
