"""A float network as it is described, layer by layer: an ONNX model with random weights, which a trainer replaces.

The layers are those that microcontroller networks are made of, batch normalisation behind convolutions included. Images
have channels first, as in PyTorch; a time series (channels, steps) is an image of one row.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np

from tinycompile.errors import UsageError
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.ir import Array

OPSET = 17
_INPUT = "input"
_IMAGE = 3
"""Axes of an image, a window of sensors included."""
_IR_VERSION = 8
_CLAMP = 6.0
"""Of ReLU6."""


class Network:
    """Grows a model; the last value is `at`, of shape `shape`, without the batch.

    Args:
        shape: of a sample: (channels, height, width), (features,) or (tokens, width).
        seed: of the random weights.
    """

    def __init__(self, shape: Sequence[int], *, seed: int = 0, name: str = "candidate") -> None:
        self.name, self.at = name, _INPUT
        self.input_shape: tuple[int, ...] = tuple(shape)
        self.shape: tuple[int, ...] = self.input_shape
        self._random = np.random.default_rng(seed)
        self._nodes = list[Any]()
        self._constants = dict[str, Array]()
        self._layer, self._first = "", 0

    def named(self, layer: str) -> Network:
        """What follows, until the next name, is called so: a supernet's networks share weights of the same name.

        Raises:
            ValueError: the name was there before.
        """
        if not layer or any(name.startswith(f"{layer}/") for name in self._constants):
            raise ValueError(f"a second layer named {layer!r}")
        self._layer, self._first = f"{layer}/", len(self._constants)
        return self

    def conv(
        self,
        channels: int,
        kernel: int | tuple[int, int] = 1,
        stride: int | tuple[int, int] = 1,
        *,
        groups: int = 1,
        activation: str | None = "relu",
        normalized: bool = True,
    ) -> Network:
        """A convolution that keeps the size but for its stride, a batch normalisation, an activation.

        Args:
            activation: "relu", "relu6", or None.

        Raises:
            UsageError: what it is of has no rows and columns.
        """
        inputs, height, width = self.image()
        sizes, strides = _pair(kernel), _pair(stride)
        outs = [-(-size // step) for size, step in zip((height, width), strides, strict=True)]
        totals = [
            max(0, (out - 1) * step + k - size)
            for out, step, k, size in zip(outs, strides, sizes, (height, width), strict=True)
        ]
        before = [total // 2 for total in totals]
        pads = [*before, *(total - first for total, first in zip(totals, before, strict=True))]
        weights = self._weights((channels, inputs // groups, *sizes), inputs // groups * prod(sizes))
        operands = [weights] if normalized else [weights, self._constant("bias", np.zeros(channels, np.float32))]
        self._apply("Conv", (channels, *outs), *operands, kernel_shape=sizes, strides=strides, pads=pads, group=groups)
        if normalized:
            ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
            names = ("scale", "shift", "mean", "variance")
            values = (self._constant(n, v) for n, v in zip(names, (ones, zeros, zeros, ones), strict=True))
            self._apply("BatchNormalization", self.shape, *values)
        return self.activation(activation)

    def image(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the last value.

        Raises:
            UsageError: it hasn't all of them.
        """
        if len(self.shape) != _IMAGE:
            raise UsageError(
                f"{'samples' if self.at == _INPUT else 'values'} of shape {self.shape} have no rows and columns",
                why="convolutions are of (channels, height, width)",
                hint="x (count, channels, height, width), or (count, channels, steps); or a space of `dense` layers",
            )
        channels, height, width = self.shape
        return channels, height, width

    def depthwise(
        self, kernel: int | tuple[int, int] = 3, stride: int | tuple[int, int] = 1, activation: str | None = "relu"
    ) -> Network:
        """A convolution of each channel alone."""
        channels = self.shape[0]
        return self.conv(channels, kernel, stride, groups=channels, activation=activation)

    def activation(self, kind: str | None) -> Network:
        """ "relu", "relu6", or None for none."""
        if kind == "relu":
            self._apply("Relu", self.shape)
        elif kind == "relu6":
            ends = (self._constant(n, np.array(v, np.float32)) for n, v in (("low", 0), ("high", _CLAMP)))
            self._apply("Clip", self.shape, *ends)
        elif kind is not None:
            raise ValueError(f"unknown activation {kind!r}: relu, relu6 or None")
        return self

    def add(self, other: str) -> Network:
        """The sum with an earlier value of the same shape."""
        self._apply("Add", self.shape, other)
        return self

    def max_pool(self, kernel: int | tuple[int, int] = 2) -> Network:
        """The largest of each window; windows don't overlap. Raises ValueError: the image is smaller than a window."""
        channels, height, width = self.image()
        rows, columns = _pair(kernel)
        if rows > height or columns > width:
            raise ValueError(f"max_pool: windows of {rows}x{columns} in an image of {height}x{width}")
        shape = (channels, height // rows, width // columns)
        self._apply("MaxPool", shape, kernel_shape=[rows, columns], strides=[rows, columns])
        return self

    def global_average(self) -> Network:
        """The mean of each channel, or of the tokens, as features."""
        if len(self.shape) == 2:
            self._apply("ReduceMean", self.shape[1:], axes=[1], keepdims=0)
            return self
        self._apply("GlobalAveragePool", (self.shape[0], 1, 1))
        self._apply("Flatten", (self.shape[0],), axis=1)
        return self

    def flatten(self) -> Network:
        """All values as features."""
        self._apply("Flatten", (prod(self.shape),), axis=1)
        return self

    def dense(self, outputs: int, activation: str | None = None) -> Network:
        """Of features, or of each token."""
        inputs = self.shape[-1]
        if len(self.shape) == 1:
            weights = self._weights((outputs, inputs), inputs)
            self._apply("Gemm", (outputs,), weights, self._constant("bias", np.zeros(outputs, np.float32)), transB=1)
        else:
            self._apply("MatMul", (*self.shape[:-1], outputs), self._weights((inputs, outputs), inputs))
            self._apply("Add", self.shape, self._constant("bias", np.zeros(outputs, np.float32)))
        return self.activation(activation)

    def tokens(self) -> Network:
        """An image's pixels as tokens: (channels, height, width) to (height * width, channels)."""
        channels, height, width = self.shape
        self._reshape((channels, height * width))
        self._apply("Transpose", (height * width, channels), perm=[0, 2, 1])
        return self

    def positions(self) -> Network:
        """Adds what training finds for each token's place."""
        values = self._random.normal(0, 0.02, (1, *self.shape)).astype(np.float32)
        self._apply("Add", self.shape, self._constant("positions", values))
        return self

    def layer_norm(self) -> Network:
        """Of each token."""
        width = self.shape[-1]
        scale, bias = self._constant("scale", np.ones(width, np.float32)), np.zeros(width, np.float32)
        self._apply("LayerNormalization", self.shape, scale, self._constant("shift", bias), axis=-1)
        return self

    def attention(self, heads: int) -> Network:
        """Of tokens on each other: products of matrices, softmax, the output's product."""
        tokens, width = self.shape
        if width % heads:
            raise ValueError(f"attention: a width of {width} isn't a multiple of {heads} heads")
        each, source = width // heads, self.at
        found = dict[str, str]()
        for role in ("query", "key", "value"):
            self.at, self.shape = source, (tokens, width)
            self.dense(width)
            self._reshape((tokens, heads, each))
            order, shape = ([0, 2, 3, 1], (heads, each, tokens)) if role == "key" else ([0, 2, 1, 3], None)
            self._apply("Transpose", shape or (heads, tokens, each), perm=order)
            found[role] = self.at
        self.at = found["query"]
        self._apply("MatMul", (heads, tokens, tokens), found["key"])
        self._apply("Mul", self.shape, self._constant("factor", np.array(each**-0.5, np.float32)))
        self._apply("Softmax", self.shape, axis=-1)
        self._apply("MatMul", (heads, tokens, each), found["value"])
        self._apply("Transpose", (tokens, heads, each), perm=[0, 2, 1, 3])
        self._reshape((tokens, width))
        return self.dense(width)

    def model(self) -> Any:
        """The ModelProto, from (batch, *shape) to (batch, *the last shape), both float32, for a batch of any size."""
        onnx = onnx_module()
        helper, floats = onnx.helper, onnx.TensorProto.FLOAT
        graph = helper.make_graph(
            [*self._nodes, helper.make_node("Identity", [self.at], ["output"])],
            self.name,
            [helper.make_tensor_value_info("input", floats, ["batch", *self.input_shape])],
            [helper.make_tensor_value_info("output", floats, ["batch", *self.shape])],
            [onnx.numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=_IR_VERSION)

    def _apply(self, kind: str, shape: tuple[int, ...], *operands: str, **attributes: Any) -> None:
        name = f"{kind.lower()}_{len(self._nodes)}"
        node = onnx_module().helper.make_node(kind, [self.at, *operands], [name], self._layer + name, **attributes)
        self._nodes.append(node)
        self.at, self.shape = name, shape

    def _reshape(self, shape: tuple[int, ...]) -> None:
        self._apply("Reshape", shape, self._constant("shape", np.array([0, *shape], np.int64)))

    def _weights(self, shape: tuple[int, ...], inputs: int) -> str:
        """Normally distributed, for values that keep their variance behind a ReLU (He et al., 2015)."""
        return self._constant("weights", self._random.normal(0, sqrt(2 / inputs), shape).astype(np.float32))

    def _constant(self, role: str, value: Array) -> str:
        name = f"{self._layer}{role}_{len(self._constants) - self._first}"
        self._constants[name] = value
        return name


def _pair(value: int | tuple[int, int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value
