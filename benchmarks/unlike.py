"""A space of networks unlike those of the ready ones, for `benchmarks.search_prices`: each number is another network.

Odd numbers of channels, windows of 1x1 to 5x5, strides, depthwise layers, residuals, concatenations, maximum and average
pools, images of 11x7 and others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper

from tinycompile.search.space import Config

PARAMETERS = {"network": list(range(10_000))}

SHAPE = 3, 11, 7
"""Of the samples."""

_BLOCKS = ("conv", "conv", "depthwise", "residual", "branches", "max", "average")
_CHANNELS = (3, 5, 7, 9, 13, 17, 21, 27)


class _Net:
    """Grows a float ONNX model; the last value is `at`, of `channels`, `rows` and `columns`."""

    def __init__(self, shape: tuple[int, ...], random: np.random.Generator) -> None:
        self.random, self.at = random, "x"
        self.channels, self.rows, self.columns = shape
        self.nodes, self.constants = list[Any](), list[Any]()

    def node(self, kind: str, inputs: list[str], **attributes: Any) -> None:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, **attributes))
        self.at = name

    def constant(self, value: np.ndarray[Any, Any]) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value.astype(np.float32), name))
        return name

    def conv(self, channels: int, size: int, stride: int = 1, groups: int = 1) -> None:
        depth = self.channels // groups
        weights = self.random.normal(0, (2 / (depth * size * size)) ** 0.5, (channels, depth, size, size))
        bias = self.random.normal(0, 0.1, channels)
        pads = [(size - 1) // 2, (size - 1) // 2, size // 2, size // 2]
        given = [self.at, self.constant(weights), self.constant(bias)]
        self.node("Conv", given, kernel_shape=[size, size], strides=[stride] * 2, pads=pads, group=groups)
        self.channels, self.rows, self.columns = channels, -(-self.rows // stride), -(-self.columns // stride)

    def block(self) -> None:
        random, before = self.random, self.at
        size, wide = int(random.choice((1, 2, 3, 3, 5))), int(random.choice(_CHANNELS))
        kind = str(random.choice(_BLOCKS))
        if kind == "conv":
            self.conv(wide, size, int(random.choice((1, 1, 2))) if min(self.rows, self.columns) > 3 else 1)
            self.node("Relu", [self.at])
        elif kind == "depthwise":
            self.conv(self.channels, 3 if size < 5 else 5, 1, self.channels)
            self.node("Clip", [self.at, self.constant(np.array(0.0)), self.constant(np.array(6.0))])
        elif kind == "residual":
            self.conv(self.channels, size)
            self.node("Add", [self.at, before])
        elif kind == "branches":
            depth = self.channels
            self.conv(wide, size)
            branch, both = self.at, wide + depth
            self.node("Concat", [branch, before], axis=1)
            self.channels = both
        elif min(self.rows, self.columns) > 3:
            pool = "MaxPool" if kind == "max" else "AveragePool"
            self.node(pool, [self.at], kernel_shape=[2, 2], strides=[2, 2])
            self.rows, self.columns = self.rows // 2, self.columns // 2


def build(config: Config, shape: tuple[int, ...], classes: int) -> ModelProto:
    """A float ONNX model."""
    random = np.random.default_rng(int(config["network"]))
    net = _Net(shape, random)
    for _ in range(int(random.integers(2, 8))):
        net.block()
    net.node("GlobalAveragePool", [net.at])
    net.node("Flatten", [net.at])
    weights = random.normal(0, net.channels**-0.5, (classes, net.channels))
    net.node("Gemm", [net.at, net.constant(weights), net.constant(np.zeros(classes))], transB=1)
    values = [("x", (1, *shape)), (net.at, (1, classes))]
    given, found = (helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in values)
    graph = helper.make_graph(net.nodes, "unlike", [given], [found], net.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
