"""TinyTL's lite residual modules, inserted beside convolutions (`--train lite:LAYER`).

A module reads what the convolution reads, at half of the resolution of its result: an average pooling, a grouped
convolution with ReLU, one of single positions whose weights are 0 at the start, and each value four times. Its sum with
the convolution's result is exactly that result before training. Its activations are a quarter of a full module's, its
weights few. Source: Cai et al., "TinyTL: Reduce Memory, Not Parameters for Efficient On-Device Learning", NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType, free_name
from tinycompile.ops._convolution import Convolution
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.training.scheme import MODULE

GROUPS, KERNEL = 2, 3
HIDDEN = 64
"""Most channels between the convolutions."""


def with_modules(graph: Graph, layers: Sequence[str], seed: int = 0) -> Graph:
    """The model with a module beside each of these layers.

    Raises:
        UsageError: one of them is no convolution of int8.
    """
    for name in layers:
        node = next(node for node in graph.nodes if node.name == name)
        x, y = graph.types[node.inputs[0]], graph.types[node.outputs[0]]
        if not isinstance(node.op, Convolution) or (x.dtype, y.dtype) != (INT8, INT8):
            why = f"it is {node.op.title} of {x.dtype}"
            raise UsageError(f"--train: no lite residual module goes beside {name!r}", why=why)
        graph = _Module(graph, node, seed).inserted()
    return graph


class _Module:
    """What is inserted beside a convolution."""

    def __init__(self, graph: Graph, node: Node, seed: int) -> None:
        self._graph, self._node, self._rng = graph, node, np.random.default_rng(seed)
        self._types, self._constants = dict(graph.types), dict(graph.constants)
        self._names, self._nodes = {each.name for each in graph.nodes}, list[Node]()

    def inserted(self) -> Graph:
        """Readers of the layer read the sum; so does who reads the output."""
        y = self._node.outputs[0]
        t = self._types[y]
        if t.quant is None:
            raise UsageError(f"{self._node.name!r} has no scale", where=self._graph.name)
        own = free_name(f"{self._node.name}{MODULE}beside", self._types)
        self._types[own] = t
        module = self._module(t)
        total = Node(self._name("sum"), Add(), (own, module), (y,))
        nodes = list[Node]()
        for node in self._graph.nodes:
            if node is self._node:
                nodes += [replace(node, outputs=(own,)), *self._nodes, total]
            else:
                nodes.append(node)
        return replace(self._graph, nodes=tuple(nodes), types=self._types, constants=self._constants)

    def _module(self, y: TensorType) -> str:
        x = self._node.inputs[0]
        t = self._types[x]
        steps = [max(1, 2 * n // own) for n, own in zip(t.shape[1:3], y.shape[1:3], strict=True)]
        kernel = tuple(min(step, n) for step, n in zip(steps, t.shape[1:3], strict=True))
        ends = [(-n) % step for n, step in zip(t.shape[1:3], kernel, strict=True)]
        pooled = self._emit(AveragePool2D((kernel[0], kernel[1]), (kernel[0], kernel[1]), (0, ends[0], 0, ends[1])), x)
        self._types[pooled] = replace(self._types[pooled], quant=t.quant)
        hidden = self._hidden(pooled)
        # Of both signs, also beside ReLU: a module's zero at an end of its range would be clamped, without a gradient.
        quant = Quantization.per_tensor(y.scale, 0)
        wide = self._layer("project", hidden, (y.shape[3], 1, 1, self._types[hidden].shape[3]), quant, zero=True)
        return self._enlarged(wide, y)

    def _hidden(self, x: str) -> str:
        """The grouped convolution: weights as He initialises them, results in the range of its inputs."""
        t = self._types[x]
        channels = t.shape[3]
        groups = GROUPS if channels % GROUPS == 0 else 1
        width = groups * max(1, min(channels, HIDDEN) // groups)
        scale = Quantization.per_tensor(t.scale, -128)
        return self._layer("group", x, (width, KERNEL, KERNEL, channels // groups), scale, zero=False)

    def _layer(self, word: str, x: str, shape: tuple[int, ...], quant: Quantization, *, zero: bool) -> str:
        """A convolution that keeps the resolution. Weights of full range have twice He's deviation."""
        terms = int(np.prod(shape[1:]))
        deviation = np.sqrt(2 / terms)
        step = np.full(shape[0], 4 * deviation / 127, np.float32)
        drawn = np.zeros(shape) if zero else self._rng.normal(0, 127 / 4, shape)
        values = np.clip(np.rint(drawn), -127, 127).astype(np.int8)
        weights = self._constant(f"{word}_weights", values, Quantization(step, np.zeros(shape[0], np.int64), 0))
        bias = self._constant(f"{word}_bias", np.zeros(shape[0], np.int32), None)
        side = shape[1] // 2
        op = Conv2D(padding=(side, side, side, side), clamp=(-128, 127))
        found = self._emit(op, x, weights, bias, word=word)
        self._types[found] = replace(self._types[found], quant=quant)
        return found

    def _enlarged(self, x: str, y: TensorType) -> str:
        """Every value twice in rows and columns, as much as the layer's result has."""
        for axis in (1, 2):
            _, height, width, channels = self._types[x].shape
            if (height, width)[axis - 1] == y.shape[axis]:
                continue
            tall = (1, height, 1, width * channels) if axis == 1 else (1, height * width, 1, channels)
            x = self._emit(Reshape(tall), x)
            x = self._emit(Concatenation(2), x, x)
            whole = (1, 2 * height, width, channels) if axis == 1 else (1, height, 2 * width, channels)
            x = self._emit(Reshape(whole), x)
            if whole[axis] != y.shape[axis]:
                x = self._emit(Slice.of_axis(whole, axis, 0, y.shape[axis]), x)
        return x

    def _emit(self, op: Op, *inputs: str, word: str = "") -> str:
        """With the quantisation of the first operand."""
        name = free_name(f"{self._node.name}{MODULE}{word or op.kind}", self._types)
        ((shape, dtype),) = op.infer([self._types[n] for n in inputs])
        self._types[name] = TensorType(shape, dtype, self._types[inputs[0]].quant)
        self._nodes.append(Node(self._name(word or op.kind), op, inputs, (name,)))
        return name

    def _constant(self, word: str, values: Array, quant: Quantization | None) -> str:
        name = free_name(f"{self._node.name}{MODULE}{word}", self._types)
        self._types[name] = TensorType(values.shape, INT32 if values.dtype == np.int32 else INT8, quant)
        self._constants[name] = values
        return name

    def _name(self, word: str) -> str:
        name = free_name(f"{self._node.name}{MODULE}{word}", self._names)
        self._names.add(name)
        return name
