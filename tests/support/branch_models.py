"""int8 TFLite networks with branches: what one core can compute while the other one computes something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from tests.support.random_model import RandomModel, Value
from tests.support.tflite_builder import NONE, SAME


class _Network(RandomModel):
    def pointwise(self, x: Value, channels: int) -> Value:
        return self.conv(x, channels, 1)

    def conv(self, x: Value, channels: int, size: int = 3, stride: int = 1) -> Value:
        fields = {"StrideH": stride, "StrideW": stride, "Padding": SAME, "DilationHFactor": 1, "DilationWFactor": 1}
        shape = (1, -(-x.shape[1] // stride), -(-x.shape[2] // stride), channels)
        return self.linear("CONV_2D", x, (channels, size, size, x.shape[3]), 0, shape, fields)

    def pooled(self, x: Value) -> Value:
        """3x3, of the same size."""
        y = self.value(x.shape, x.scale, x.zero_point)
        fields = {"FilterHeight": 3, "FilterWidth": 3, "StrideH": 1, "StrideW": 1, "Padding": SAME}
        self.builder.op("MAX_POOL_2D", [x.index], [y.index], FusedActivationFunction=NONE, **fields)
        return y

    def joined(self, *values: Value) -> Value:
        """Along the channels, of which TFLite requires the same scale."""
        scale, zero_point = values[0].scale, values[0].zero_point
        for value in values:
            spec = self.builder.tensors[value.index]
            spec.scale, spec.zero_point = [scale], [zero_point]
        channels = sum(value.shape[-1] for value in values)
        y = self.value((*values[0].shape[:-1], channels), scale, zero_point)
        axis = len(y.shape) - 1
        inputs = [value.index for value in values]
        self.builder.op("CONCATENATION", inputs, [y.index], Axis=axis, FusedActivationFunction=NONE)
        return y

    def mean(self, x: Value) -> Value:
        y = self.value((1, x.shape[3]), x.scale * 0.5, 3)
        self.builder.op("MEAN", [x.index, self.builder.constant(np.array([1, 2], np.int32))], [y.index])
        return y

    def dense(self, x: Value, channels: int) -> Value:
        return self.linear("FULLY_CONNECTED", x, (channels, x.shape[-1]), 0, (1, channels), {})

    def classes(self, x: Value, count: int) -> Value:
        scores = self.dense(x, count)
        y = self.value((1, count), 1 / 256, -128)
        self.builder.op("SOFTMAX", [scores.index], [y.index], Beta=1.0)
        return y

    def unary(self, name: str, x: Value, scale: float, zero_point: int) -> Value:
        y = self.value(x.shape, scale, zero_point)
        self.builder.op(name, [x.index], [y.index])
        return y

    def image(self, *shape: int) -> Value:
        return self.value((1, *shape), 0.05, 3)


def inception(size: int = 3, channels: int = 24) -> bytes:
    """Two modules of four branches each, on few positions."""
    net = _Network(1)
    x = first = net.image(2 * size, 2 * size, 3)
    x = net.conv(x, channels, 3, 2)
    for _ in range(2):
        one = net.pointwise(x, channels // 2)
        three = net.conv(net.pointwise(x, channels // 2), channels)
        five = net.conv(net.pointwise(x, channels // 4), channels // 2, 5)
        pool = net.pointwise(net.pooled(x), channels // 2)
        x = net.joined(one, three, five, pool)
    y = net.classes(net.mean(x), 10)
    return net.builder.build([first.index], [y.index])


def heads(size: int = 8, channels: int = 16) -> bytes:
    """A trunk, and behind it four classifiers of their own: each averages, has a hidden layer, and a softmax."""
    net = _Network(2)
    x = first = net.image(size, size, 3)
    x = net.conv(net.conv(x, channels, 3, 2), channels)
    found = [net.classes(net.dense(net.mean(net.conv(x, channels)), 24), count) for count in (10, 7, 10, 4)]
    return net.builder.build([first.index], [y.index for y in found])


def autoencoder(size: int = 640) -> bytes:
    """Rows times matrices, of which each weight is read once."""
    net = _Network(5)
    x = first = net.value((1, size), 0.05, 3)
    for channels in (128, 128, 128, size):
        x = net.dense(x, channels)
    return net.builder.build([first.index], [x.index])


def averages(size: int = 8) -> bytes:
    """Nothing that can be divided."""
    net = _Network(6)
    x = net.image(size, size, 8)
    return net.builder.build([x.index], [net.mean(x).index])


def pictures(size: int = 16) -> bytes:
    """Convolutions of all sizes and a fork, whose result is an image, so that each pixel of each layer counts."""
    net = _Network(4)
    x = first = net.image(size, size, 8)
    for window in (3, 1, 3):
        x = net.conv(x, 16, window)
    x = net.conv(x, 16, 3, 2)
    y = net.joined(net.conv(net.pointwise(x, 8), 8), net.pointwise(x, 16))
    return net.builder.build([first.index], [y.index])


def late_fusion(size: int = 8, channels: int = 8) -> bytes:
    """Two inputs, a network for each, whose features are joined."""
    net = _Network(3)
    inputs = [net.image(size, size, 3), net.image(size, size, 1)]
    ends = list[Value]()
    for x in inputs:
        y = net.conv(x, channels, 3, 2)
        y = net.conv(net.conv(y, 2 * channels, 3, 2), 2 * channels)
        ends.append(net.dense(net.mean(y), 16))
    y = net.classes(net.joined(*ends), 6)
    return net.builder.build([x.index for x in inputs], [y.index])


def squeeze_excite(size: int = 6, channels: int = 16) -> bytes:
    """Channels weighed by what a branch makes of their averages, while the other branch goes on."""
    net = _Network(4)
    x = first = net.image(size, size, 4)
    x = net.conv(x, channels)
    for _ in range(2):
        squeezed = net.dense(net.dense(net.mean(x), channels // 4), channels)
        gate = net.unary("LOGISTIC", squeezed, 1 / 256, -128)
        shape = net.builder.constant(np.array([1, 1, 1, channels], np.int32))
        gates = net.value((1, 1, 1, channels), 1 / 256, -128)
        net.builder.op("RESHAPE", [gate.index, shape], [gates.index])
        deep = net.conv(x, channels)
        y = net.value(deep.shape, deep.scale * 0.6, deep.zero_point)
        net.builder.op("MUL", [deep.index, gates.index], [y.index], FusedActivationFunction=NONE)
        x = y
    y = net.classes(net.mean(x), 5)
    return net.builder.build([first.index], [y.index])


def attention_heads(tokens: int = 12, width: int = 16, count: int = 4) -> bytes:
    """Self-attention as files have it that keep heads apart: projections, products and softmax of each."""
    net = _Network(5)
    first = net.value((1, tokens, width), 0.05, 3)
    depth, found = width // count, list[Value]()
    for _ in range(count):
        q, k, v = (net.linear("FULLY_CONNECTED", first, (depth, width), 0, (1, tokens, depth), _KEEP) for _ in range(3))
        scores = net.value((1, tokens, tokens), q.scale * k.scale * 40, 0)
        net.builder.op("BATCH_MATMUL", [q.index, k.index], [scores.index], AdjX=False, AdjY=True)
        shares = net.value(scores.shape, 1 / 256, -128)
        net.builder.op("SOFTMAX", [scores.index], [shares.index], Beta=1.0)
        head = net.value((1, tokens, depth), v.scale, v.zero_point)
        net.builder.op("BATCH_MATMUL", [shares.index, v.index], [head.index], AdjX=False, AdjY=False)
        found.append(head)
    y = net.linear("FULLY_CONNECTED", net.joined(*found), (width, width), 0, (1, tokens, width), _KEEP)
    return net.builder.build([first.index], [y.index])


_KEEP: dict[str, int] = {"KeepNumDims": 1}

BRANCHING: Mapping[str, Callable[[], bytes]] = MappingProxyType(
    {
        "inception": inception,
        "heads": heads,
        "late_fusion": late_fusion,
        "squeeze_excite": squeeze_excite,
        "attention_heads": attention_heads,
    }
)
"""Files by name."""
