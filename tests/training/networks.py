"""Random int8 networks that end in class scores, for training: every operator with a gradient rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.interpreter import run
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType, verify
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._elementwise import INT8_VALUES, Unary, between_values
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.hard_swish import HardSwish
from tinycompile.ops.identity import Identity
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.mean import Mean
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.pad import Pad
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.sub import Sub
from tinycompile.ops.take import Take
from tinycompile.ops.tanh import Tanh
from tinycompile.ops.transpose import Transpose

CLASSES = 5
KINDS = (
    *("convolution", "convolution", "depthwise", "grouped", "dense", "add", "broadcast", "subtract", "multiply"),
    *("average", "maximum", "pad", "slice", "transpose", "concatenate", "relu"),
)

MORE_KINDS = (
    *("clamped", "constant_factor", "squared", "doubled", "requantise", "row_means"),
    *("table", "hyperbolic", "swish", "sigmoid", "at_least", "at_most", "taken"),
)
"""Forms of these operators."""


class RandomNetwork:
    """Grows a network whose values have about the scale that they fill; everything follows from the seed."""

    def __init__(self, seed: int, image: tuple[int, int] | None = None) -> None:
        """`image`: rows and columns of the input."""
        self.rng = np.random.default_rng(seed)
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, Array] = {}
        self.nodes: list[Node] = []
        rows, columns = image or (self.pick(5, 6, 8), self.pick(5, 7))
        self.types["input"] = TensorType((1, rows, columns, self.pick(2, 4)), INT8, _quant(0.02))
        self.sample = self.rng.integers(-128, 128, self.types["input"].shape).astype(np.int8)
        self.values: dict[str, Array] = {"input": self.sample}

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def grow(self, steps: int, kinds: tuple[str, ...] = KINDS) -> Graph:
        return self.chain([str(self.rng.choice(kinds)) for _ in range(steps)])

    def chain(self, kinds: Sequence[str]) -> Graph:
        """Of these, in their order, between a convolution and the scores."""
        x = self.convolution("input")
        for kind in kinds:
            x = getattr(self, kind)(x)
        if self.pick(0, 1):
            x = self.node(Mean((1, 2), keep_dims=False), x)
        else:
            x = self.node(Reshape((1, self.types[x].elements)), x)
        self.linear(x, FullyConnected(), (CLASSES, self.types[x].shape[-1]), 0)
        return self.graph()

    def graph(self) -> Graph:
        """Of what has grown until now."""
        graph = Graph("random", ("input",), (self.nodes[-1].outputs[0],), tuple(self.nodes), self.types, self.constants)
        verify(graph)
        return graph

    def convolution(self, x: str) -> str:
        kernel, op = self._window(x, Conv2D)
        return self.linear(x, op, (self.pick(3, 6), *kernel, self.types[x].shape[3]), 0)

    def grouped(self, x: str) -> str:
        channels = self.types[x].shape[3]
        kernel, op = self._window(x, Conv2D)
        groups = 2 if channels % 2 == 0 else 1
        return self.linear(x, op, (2 * groups, *kernel, channels // groups), 0)

    def depthwise(self, x: str) -> str:
        kernel, op = self._window(x, DepthwiseConv2D)
        return self.linear(x, op, (1, *kernel, self.types[x].shape[3] * self.pick(1, 2)), 3)

    def inverted(self, x: str) -> str:
        """MobileNetV2's block, with rows of whole bytes of bits; every other one halves the rows."""
        height, channels = self.types[x].shape[1], self.types[x].shape[3]
        stride = 2 if height % 4 == 0 and channels == 8 else 1
        y = self.linear(x, Conv2D(clamp=(-128, 100)), (16, 1, 1, channels), 0)
        y = self.linear(y, DepthwiseConv2D((stride, 1), padding=(1, 2 - stride, 1, 1)), (1, 3, 3, 16), 3)
        y = self.linear(y, Conv2D(), (8, 1, 1, 16), 0)
        return self.node(Add(), y, x) if self.types[x].shape == self.types[y].shape else y

    def dense(self, x: str) -> str:
        """Of every position."""
        return self.linear(x, FullyConnected(), (4, self.types[x].shape[3]), 0)

    def add(self, x: str) -> str:
        y = self.linear(x, Conv2D(), (self.types[x].shape[3], 1, 1, self.types[x].shape[3]), 0)
        return self.node(Add(), y, x)

    def broadcast(self, x: str) -> str:
        y = self.node(Mean((1, 2), keep_dims=True), x)
        return self.node((Add(), Mul())[self.pick(0, 1)], *(x, y)[:: self.pick(1, -1)])

    def subtract(self, x: str) -> str:
        y = self.linear(x, Conv2D(), (1, 1, 1, self.types[x].shape[3]), 0)
        return self.node(Sub(), *(x, y)[:: self.pick(1, -1)])

    def multiply(self, x: str) -> str:
        y = self.linear(x, Conv2D(), (self.types[x].shape[3], 1, 1, self.types[x].shape[3]), 0)
        return self.node(Mul(), x, y)

    def average(self, x: str) -> str:
        return self._pooled(x, AveragePool2D)

    def maximum(self, x: str) -> str:
        return self._pooled(x, MaxPool2D)

    def pad(self, x: str) -> str:
        return self.node(Pad(((0, 0), (1, 0), (0, 2), (0, 0)), self.types[x].zero_point), x, like=x)

    def slice(self, x: str) -> str:
        _, height, width, channels = self.types[x].shape
        return (
            self.node(Slice((0, 0, 1, 0), (1, height, width - 1, channels), (1, 1, 1, 1)), x, like=x)
            if width > 3
            else x
        )

    def transpose(self, x: str) -> str:
        return self.node(Transpose((0, 2, 1, 3)), x, like=x)

    def concatenate(self, x: str) -> str:
        y = self.node(Transpose((0, 1, 2, 3)), x, like=x)
        return self.node(Concatenation(3), x, y, like=x)

    def relu(self, x: str) -> str:
        y = self.node(Relu(), x)
        self.nodes[-1] = replace(self.nodes[-1], op=Relu((self.types[y].zero_point, 127)))
        self._evaluate(self.nodes[-1])
        return y

    def clamped(self, x: str) -> str:
        """With a fused activation."""
        kernel, op = self._window(x, Conv2D)
        clamp = self.pick(-128, 3), self.pick(50, 127)
        return self.linear(x, replace(op, clamp=clamp), (self.pick(3, 6), *kernel, self.types[x].shape[3]), 0)

    def constant_factor(self, x: str) -> str:
        name, shape = f"v{len(self.nodes)}_c", ((1,), (1, 1, 1, self.types[x].shape[3]))[self.pick(0, 1)]
        self.types[name] = TensorType(shape, INT8, _quant(2.0**-6))
        self.constants[name] = self.rng.integers(-128, 128, shape).astype(np.int8)
        return self.node(Mul(), *(x, name)[:: self.pick(1, -1)])

    def squared(self, x: str) -> str:
        return self.node(Mul(), x, x)

    def doubled(self, x: str) -> str:
        return self.node(Add((-100, 90)), x, x)

    def requantise(self, x: str) -> str:
        return self.node(Quantize(INT8), x)

    def table(self, x: str) -> str:
        """The sine, as an importer of ONNX makes it of any function."""
        t = self.types[x]
        quant = _quant(1 / 100)
        values = np.rint(100 * np.sin((INT8_VALUES.astype(float) - t.zero_point) * t.scale)) + 3
        reals = np.sin(between_values(t))
        op = Lookup(np.clip(values, -128, 127).astype(np.int8).tobytes(), "Sin", reals.tobytes())
        return self.function(op, x, quant)

    def hyperbolic(self, x: str) -> str:
        return self.function(Tanh(), x, _quant(1 / 128))

    def sigmoid(self, x: str) -> str:
        return self.function(Logistic(), x, Quantization.per_tensor(1 / 256, -128))

    def swish(self, x: str) -> str:
        return self.function(HardSwish(), x, _quant(self.types[x].scale))

    def function(self, op: Unary, x: str, quant: Quantization) -> str:
        """With a scale that it has whatever the values are."""
        y = self.node(Identity(), x, like=x)
        self.types[y] = replace(self.types[y], quant=quant)
        self.nodes[-1] = replace(self.nodes[-1], op=op)
        self._evaluate(self.nodes[-1])
        return y

    def at_least(self, x: str) -> str:
        return self._beside_number(Maximum(), x)

    def at_most(self, x: str) -> str:
        return self._beside_number(Minimum(), x)

    def larger(self, x: str) -> str:
        """Of two tensors, one of which broadcasts."""
        return self.node(Maximum(), self.node(Mean((1, 2), keep_dims=True), x, like=x), x, like=x)

    def smaller(self, x: str) -> str:
        return self.node(Minimum(), x, self.node(Mul(), x, x, like=x), like=x)

    def larger_of_scales(self, x: str) -> str:
        """By ONNX's rule, which compares real numbers, of two scales."""
        return self.node(Maximum(rule="onnx"), self.node(Add(), x, x), x)

    def _beside_number(self, op: Op, x: str) -> str:
        name = f"v{len(self.nodes)}_c"
        self.types[name] = replace(self.types[x], shape=(1,))
        self.constants[name] = self.rng.integers(-40, 40, 1).astype(np.int8)
        return self.node(op, *(x, name)[:: self.pick(1, -1)], like=x)

    def taken(self, x: str) -> str:
        """Backwards, with a column twice and, if there are several, one left out."""
        width = self.types[x].shape[2]
        return self.node(Take(2, (*range(width - 1, int(width > 1) - 1, -1), 0)[: width + 1] + (width - 1,)), x, like=x)

    def every_second(self, x: str) -> str:
        """Rows from the last one on, backwards, and columns from the second one on."""
        _, height, width, channels = self.types[x].shape
        begin, step = (0, height - 1, int(width > 1), 0), (1, -2, 2, 1)
        return self.node(Slice(begin, (1, -(-height // 2), max(1, width // 2), channels), step), x, like=x)

    def row_means(self, x: str) -> str:
        return self.node(Mean((1,), keep_dims=True), x)

    def linear(self, x: str, op: Op, shape: tuple[int, ...], axis: int) -> str:
        name = f"v{len(self.nodes)}"
        channels, taps = shape[axis], int(np.prod(shape)) // shape[axis]
        scale = (self.rng.uniform(0.8, 2.5, channels) / 127 / np.sqrt(taps)).astype(np.float32)
        quant = Quantization(scale, np.zeros(channels, np.int64), axis)
        self.types[f"{name}_w"] = TensorType(shape, INT8, quant)
        self.constants[f"{name}_w"] = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.types[f"{name}_b"] = TensorType((channels,), INT32)
        self.constants[f"{name}_b"] = self.rng.integers(-2000, 2000, channels).astype(np.int32)
        return self.node(op, x, f"{name}_w", f"{name}_b")

    def node(self, op: Op, *inputs: str, like: str | None = None) -> str:
        """With a scale that the values of the sample fill, or that of another value."""
        name = f"v{len(self.nodes)}"
        ((shape, dtype),) = op.infer([self.types[n] for n in inputs])
        node = Node(name, op, inputs, (name,))
        self.types[name] = TensorType(shape, dtype, _quant(1.0) if like is None else self.types[like].quant)
        if like is None and isinstance(op, AveragePool2D | MaxPool2D | Reshape):  # values go on as they are
            scale, zero_point = self.types[inputs[0]].scale, self.types[inputs[0]].zero_point
            self.types[name] = replace(self.types[name], quant=Quantization.per_tensor(0.8 * scale, zero_point))
        elif like is None:
            self.types[name] = replace(self.types[name], quant=self._range(node))
        self.nodes.append(node)
        self._evaluate(node)
        return name

    def _range(self, node: Node) -> Quantization:
        """So that a tenth of the outputs are clamped."""
        types = [self.types[n] for n in node.inputs]
        graph = Graph(
            "one", node.inputs, node.outputs, (node,), {n: self.types[n] for n in (*node.inputs, *node.outputs)}, {}
        )
        scale, inputs = 1e-4 * types[0].scale, {n: self._value(n) for n in node.inputs}
        _, high = getattr(node.op, "clamp", (-128, 127))
        while True:
            scale *= 1.5
            graph.types[node.outputs[0]] = replace(self.types[node.outputs[0]], quant=_quant(scale))  # type: ignore[index]
            values = run(graph, inputs)[node.outputs[0]]
            if np.mean((values == -128) | (values == high)) < 0.1:
                return _quant(scale)

    def _value(self, name: str) -> Array:
        return self.constants[name] if name in self.constants else self.values[name]

    def _evaluate(self, node: Node) -> None:
        graph = Graph(
            "one", node.inputs, node.outputs, (node,), {n: self.types[n] for n in (*node.inputs, *node.outputs)}, {}
        )
        self.values[node.outputs[0]] = run(graph, {n: self._value(n) for n in node.inputs})[node.outputs[0]]

    def _pooled(self, x: str, op: type[AveragePool2D | MaxPool2D]) -> str:
        _, height, width, _ = self.types[x].shape
        if min(height, width) < 3:
            return x
        return self.node(op((2, 3), (self.pick(1, 2), 2), (1, 0, 1, 1)), x)

    def _window(self, x: str, op: type[Conv2D | DepthwiseConv2D]) -> tuple[tuple[int, int], Conv2D | DepthwiseConv2D]:
        _, height, width, _ = self.types[x].shape
        size = 3 if min(height, width) > 2 else 1
        stride = self.pick(1, 2) if min(height, width) > 4 else 1
        padding = (size // 2, self.pick(0, 1), size // 2, 0)
        dilation = self.pick(1, 2) if min(height, width) > 5 else 1
        return (size, size), op((stride, 1), (dilation, 1), padding)


def with_onnx_rules(graph: Graph) -> Graph:
    """The same layers and operands as ONNX computes them."""
    return replace(graph, nodes=tuple(replace(node, op=_onnx_rule(graph, node)) for node in graph.nodes))


def with_factors(graph: Graph) -> Graph:
    """The same numbers with ONNX's rules, but weights have a third of their scales, which a factor behind the layer
    makes up for: it is in the rule alone.
    """
    types = dict(graph.types)
    for name in (node.inputs[1] for node in graph.nodes if isinstance(node.op, Convolution | FullyConnected)):
        own = types[name].quant
        assert own is not None
        types[name] = replace(types[name], quant=replace(own, scale=own.scale / 3))
    return replace(with_onnx_rules(graph), types=types)


def _onnx_rule(graph: Graph, node: Node) -> Op:
    op, y = node.op, graph.types[node.outputs[0]]
    if isinstance(op, Add | Mul | Sub):
        return replace(op, rule="onnx")
    if isinstance(op, Convolution | FullyConnected):
        scales = graph.types[node.inputs[1]].quant
        assert scales is not None
        product = [Fraction(graph.types[node.inputs[0]].scale) * Fraction(float(scale)) for scale in scales.scale]
        offsets = [Fraction(0)] * len(product)
        return replace(op, rule=exact_requant(product, offsets, Fraction(y.scale), y.zero_point, *op.clamp))
    if isinstance(op, Mean):
        x = graph.types[node.inputs[0]]
        return replace(op, rule=_averages(y, Fraction(x.scale), [int(np.prod([x.shape[axis] for axis in op.axes]))]))
    if isinstance(op, AveragePool2D):  # the values as they are: a factor of their real numbers
        return replace(
            op, rule=_averages(y, Fraction(y.scale), np.outer(*(range(1, n + 1) for n in op.kernel)).ravel())
        )
    return op


def _averages(y: TensorType, step: Fraction, counts: Sequence[int]) -> Requant:
    """Of sums of so many elements, each in steps of so much."""
    product = [step / count for count in counts]
    return exact_requant(product, [Fraction(0)] * len(product), Fraction(y.scale), y.zero_point, -128, 127)


def _quant(scale: float) -> Quantization:
    return Quantization.per_tensor(scale, 3)
