"""Networks on windows that overlap: keyword spotting, temporal convolutions, and sequences to run them on."""

from __future__ import annotations

import numpy as np

from tests.support.random_graph import QUANT
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Array, Graph, Node, Op, Quantization, TensorType, verify
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.mean import Mean
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.softmax import Softmax
from tinycompile.passes.slide import Window, blank

OUTPUT = Quantization.per_tensor(1 / 256, -128)


class _Network:
    """A chain of layers of int8 tensors."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.types = {"x": TensorType(shape, INT8, QUANT)}
        self.constants = dict[str, Array]()
        self.nodes = list[Node]()
        self.last, self.rng = "x", np.random.default_rng(3)

    def add(self, op: Op, *others: str, quant: Quantization = QUANT) -> str:
        inputs = (self.last, *others)
        ((shape, dtype),) = op.infer([self.types[name] for name in inputs])
        self.last = f"v{len(self.nodes)}"
        self.types[self.last] = TensorType(shape, dtype, quant)
        self.nodes.append(Node(self.last, op, inputs, (self.last,)))
        return self.last

    def layer(self, op: Op, shape: tuple[int, ...], axis: int) -> str:
        weights, bias = f"w{len(self.nodes)}", f"b{len(self.nodes)}"
        scales = self.rng.uniform(0.002, 0.01, shape[axis]).astype(np.float32)
        self.types[weights] = TensorType(shape, INT8, Quantization(scales, np.zeros(shape[axis], np.int64), axis))
        self.constants[weights] = self.rng.integers(-127, 128, shape).astype(np.int8)
        self.types[bias] = TensorType((shape[axis],), INT32)
        self.constants[bias] = self.rng.integers(-500, 500, shape[axis]).astype(np.int32)
        return self.add(op, weights, bias)

    def graph(self) -> Graph:
        graph = Graph("g", ("x",), (self.last,), tuple(self.nodes), self.types, self.constants)
        verify(graph)
        return graph


def keyword_graph(end: str, padding: str, stride: int = 1) -> Graph:
    """20 rows of 4 columns: a convolution, a residual block of depthwise and pointwise ones, and another one.

    Args:
        end: what is behind: "pool" or "mean", then a layer of classes; "softmax" of each row; "dense", a layer of all
            rows; "last", the last row.
        padding: "same", "valid" or "causal", of the rows.
    """
    rows = {"same": (1, 1), "valid": (0, 0), "causal": (2, 0)}[padding]
    net = _Network((1, 20, 4, 3))
    first = net.layer(Conv2D((stride, 1), (1, 1), (*rows, 1, 1)), (6, 3, 3, 3), 0)
    net.layer(DepthwiseConv2D((1, 1), (1, 1), (1, 1, 1, 1)), (1, 3, 3, 6), 3)
    net.layer(Conv2D(), (6, 1, 1, 6), 0)
    net.add(Add(), first)
    net.layer(Conv2D((1, 1), (1, 1), (*rows, 0, 0)), (5, 3, 4, 6), 0)
    height = net.types[net.last].shape[1]
    match end:
        case "pool":
            net.add(AveragePool2D((height, 1), (height, 1)))
        case "mean":
            net.add(Reshape((1, height, 5)))
            net.add(Mean((1,), keep_dims=False))
        case "softmax":
            net.add(Softmax(1.0), quant=OUTPUT)
        case "dense":
            net.add(Reshape((1, height * 5)))
        case _:
            net.add(Slice.of_axis((1, height, 1, 5), 1, height - 1, 1))
    if end != "softmax":
        net.add(Reshape((1, net.types[net.last].elements)))
        net.layer(FullyConnected(), (3, net.types[net.last].elements), 0)
    return net.graph()


def temporal_network(rows: int, dilations: tuple[int, ...]) -> Graph:
    """A TCN on (1, rows, 4): causal convolutions with kernels of 3, as images of one column; the last row."""
    net = _Network((1, rows, 4))
    net.add(Reshape((1, rows, 1, 4)))
    for dilation in dilations:
        net.layer(Conv2D((1, 1), (dilation, 1), (2 * dilation, 0, 0, 0)), (4, 3, 1, 4), 0)
    net.add(Reshape((1, rows, 4)))
    net.add(Slice.of_axis((1, rows, 4), 1, rows - 1, 1))
    return net.graph()


def steps_of(graph: Graph, window: Window, steps: int, seed: int = 0) -> tuple[list[list[Array]], list[list[Array]]]:
    """(inputs of each step, inputs of the whole window in each step): a random sequence after zero points."""
    rng = np.random.default_rng(seed)
    sequence, wholes = list[list[Array]](), list[list[Array]]()
    whole = [blank(graph.types[name]) for name in graph.inputs]
    moved = graph.inputs.index(window.input)
    for _ in range(steps):
        types = [graph.types[name] for name in graph.inputs]
        inputs = [rng.integers(-128, 128, t.shape).astype(t.dtype.carrier) for t in types]
        size = inputs[moved].shape[window.axis]
        inputs[moved] = np.take(inputs[moved], range(window.step), window.axis)
        both = np.concatenate([whole[moved], inputs[moved]], window.axis)
        whole = [*inputs]
        whole[moved] = np.take(both, range(window.step, window.step + size), window.axis)
        sequence.append(inputs)
        wholes.append(whole)
    return sequence, wholes
