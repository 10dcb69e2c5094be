"""MLPerf Tiny's four networks with other widths and random weights, as graphs: what a search asks about."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT32
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax

RELU = -128
"""The zero point after a ReLU."""


class Net:
    """Grows a graph; the last value is `at`.

    Weights are normally distributed, the largest of each scale 127; scales are such that outputs fill their range.
    """

    def __init__(self, shape: tuple[int, ...], rng: np.random.Generator) -> None:
        self.rng, self.nodes = rng, list[Node]()
        self.types, self.constants = dict[str, TensorType](), dict[str, Array]()
        self.at = self._value("input", shape, 0)

    def _value(self, name: str, shape: tuple[int, ...], zero_point: int, scale: float = 0.05) -> str:
        self.types[name] = TensorType(shape, INT8, Quantization.per_tensor(scale, zero_point))
        return name

    def _apply(self, op: Op, shape: tuple[int, ...], zero_point: int, *more: str, scale: float = 0.05) -> None:
        name = f"{op.kind}_{len(self.nodes)}"
        self.nodes.append(Node(name, op, (self.at, *more), (self._value(f"{name}:0", shape, zero_point, scale),)))
        self.at = f"{name}:0"

    def _weights(self, shape: tuple[int, ...], axis: int | None) -> tuple[str, str]:
        channels = shape[3 if axis == 3 else 0]
        real = self.rng.normal(0, 1, shape)
        peaks = np.abs(real).max(axis=None if axis is None else tuple(i for i in range(len(shape)) if i != axis))
        peaks = peaks.reshape([-1 if i == axis else 1 for i in range(len(shape))])
        values = np.rint(127 * real / peaks).astype(np.int8)
        taps, count = values.size // channels, 1 if axis is None else channels
        scale = (self.rng.uniform(0.6, 1.6, count) * peaks.ravel() / (127 * taps**0.5)).astype(np.float32)
        weights, bias = f"weights_{len(self.nodes)}", f"bias_{len(self.nodes)}"
        self.types[weights] = TensorType(shape, INT8, Quantization(scale, np.zeros(count, np.int64), axis))
        self.types[bias] = TensorType((channels,), INT32)
        self.constants[weights] = values
        self.constants[bias] = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        return weights, bias

    def conv(self, channels: int, size: int | tuple[int, int] = 1, stride: int = 1, zero_point: int = RELU) -> Net:
        """With padding that keeps the size, but for the stride."""
        (_, height, width, depth), kernel = self.types[self.at].shape, (size, size) if isinstance(size, int) else size
        padding, shape = _same((height, width), kernel, stride)
        more = self._weights((channels, *kernel, depth), 0)
        self._apply(Conv2D(stride=(stride, stride), padding=padding), (1, *shape, channels), zero_point, *more)
        return self

    def depthwise(self, stride: int = 1) -> Net:
        (_, height, width, depth) = self.types[self.at].shape
        padding, shape = _same((height, width), (3, 3), stride)
        op = DepthwiseConv2D(stride=(stride, stride), padding=padding)
        self._apply(op, (1, *shape, depth), RELU, *self._weights((1, 3, 3, depth), 3))
        return self

    def add(self, other: str) -> Net:
        self._apply(Add(), self.types[self.at].shape, RELU, other, scale=0.07)
        return self

    def dense(self, outputs: int, zero_point: int = RELU) -> Net:
        rows, inputs = self.types[self.at].shape
        more = self._weights((outputs, inputs), None)
        self._apply(FullyConnected(), (rows, outputs), zero_point, *more)
        return self

    def classifier(self, classes: int) -> Net:
        """Averages, a dense layer, probabilities."""
        (_, height, width, depth) = self.types[self.at].shape
        self._apply(AveragePool2D(kernel=(height, width), stride=(1, 1)), (1, 1, 1, depth), RELU)
        self._apply(Reshape((1, depth)), (1, depth), RELU)
        self.dense(classes, 5)
        self._apply(Softmax(), (1, classes), -128, scale=1 / 256)
        return self

    def graph(self, name: str) -> Graph:
        return Graph(name, ("input",), (self.at,), tuple(self.nodes), self.types, self.constants)


def _same(size: Sequence[int], kernel: Sequence[int], stride: int) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """TFLite's SAME: (top, bottom, left, right), and the output's size."""
    out = [-(-n // stride) for n in size]
    total = [max(0, (o - 1) * stride + k - n) for o, k, n in zip(out, kernel, size, strict=True)]
    (top, bottom), (left, right) = ((t // 2, t - t // 2) for t in total)
    return (top, bottom, left, right), (out[0], out[1])


def keyword_spotting(rng: np.random.Generator) -> Graph:
    """DS-CNN: a convolution, four separable ones."""
    net = Net((1, 49, 10, 1), rng).conv(_width(rng, 64), (10, 4), 2)
    for _ in range(4):
        net.depthwise().conv(_width(rng, 64))
    return net.classifier(12).graph("keyword_spotting")


def image_classification(rng: np.random.Generator) -> Graph:
    """ResNet-8: three residual blocks."""
    width = _width(rng, 16)
    net = Net((1, 32, 32, 3), rng).conv(width, 3)
    for stride in (1, 2, 2):
        before, width = net.at, width if stride == 1 else _width(rng, 2 * width)
        net.conv(width, 3, stride).conv(width, 3, zero_point=3)
        if stride > 1:
            after, net.at = net.at, before
            before = net.conv(width, 1, stride, zero_point=-7).at
            net.at = after
        net.add(before)
    return net.classifier(10).graph("image_classification")


def anomaly_detection(rng: np.random.Generator) -> Graph:
    """An autoencoder of dense layers."""
    net = Net((1, 640), rng)
    for outputs in (*(_width(rng, 128) for _ in range(4)), 8, *(_width(rng, 128) for _ in range(4))):
        net.dense(outputs)
    return net.dense(640, -3).graph("anomaly_detection")


def wake_words(rng: np.random.Generator) -> Graph:
    """MobileNet v1 with a quarter of its width, on 96 x 96 pixels."""
    net = Net((1, 96, 96, 3), rng).conv(_width(rng, 8), 3, 2)
    for channels, stride in zip(
        (16, 32, 32, 64, 64, 128, 128, 128, 128, 128, 128, 256, 256),
        (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1),
        strict=True,
    ):
        net.depthwise(stride).conv(_width(rng, channels))
    return net.classifier(2).graph("wake_words")


def _width(rng: np.random.Generator, usual: int) -> int:
    """Half of it to a half more, in eights, as search spaces have them."""
    return 8 * int(rng.integers(max(1, usual // 16), max(1, 3 * usual // 16) + 1))


def in_floats(graph: Graph) -> Graph:
    """The same network before it is quantised."""
    types = {name: TensorType(t.shape, FLOAT32) for name, t in graph.types.items()}
    constants = {name: value.astype(np.float32) for name, value in graph.constants.items()}
    return replace(graph, name=f"{graph.name}_float32", types=types, constants=constants)


def keyword_spotting_float32(rng: np.random.Generator) -> Graph:
    return in_floats(keyword_spotting(rng))


def wake_words_float32(rng: np.random.Generator) -> Graph:
    return in_floats(wake_words(rng))


ARCHITECTURES: dict[str, Callable[[np.random.Generator], Graph]] = {
    each.__name__: each
    for each in (
        keyword_spotting,
        image_classification,
        anomaly_detection,
        wake_words,
        keyword_spotting_float32,
        wake_words_float32,
    )
}
