"""Random graphs of int8 operators for the planner: branches, residuals, concatenations, several inputs and outputs."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import Graph, Node, Op, Quantization, TensorType, verify
from tinycompile.ops.add import Add
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mul import Mul
from tinycompile.ops.pad import Pad
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor
from tinycompile.ops.sub import Sub
from tinycompile.ops.take import Take

QUANT = Quantization.per_tensor(0.05, 3)
"""Of every activation, so that any two can be concatenated."""


class RandomGraph:
    """Grows a graph; everything follows from the seed.

    Args:
        spatial: larger images, and windows of every kind: for execution row by row.
        fusable: what kernels of several nodes are for: sums, activations and gates behind convolutions and each other.
    """

    def __init__(self, seed: int, *, spatial: bool = False, fusable: bool = False) -> None:
        self.rng = np.random.default_rng(seed)
        self.spatial, self.fusable = spatial, fusable
        self.types: dict[str, TensorType] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.nodes: list[Node] = []
        self.inputs = list[str]()
        for _ in range(int(self.rng.integers(1, 3))):
            self.input()

    def pick(self, *choices: int) -> int:
        return int(self.rng.choice(choices))

    def grow(self, steps: int) -> Graph:
        """Add nodes that read recent values, now and then an old one; what nobody reads is an output."""
        for _ in range(steps):
            known = [name for name in self.types if name not in self.constants]
            recent = known[-1] if self.rng.random() < 0.7 else known[int(self.rng.integers(len(known)))]
            kinds = [self.convolution, self.convolution, self.depthwise, self.pool, self.add, self.concatenate]
            kinds += [self.reshape]
            if self.spatial:
                kinds = [self.convolution, self.depthwise, self.residual, self.pool, self.pad, self.enlarge, self.skip]
            if self.fusable:
                kinds = [self.convolution, self.depthwise, self.residual, self.activation, self.activation, self.gate]
                kinds += [self.scalar, self.add, self.reshape]
            kinds[int(self.rng.integers(len(kinds)))](recent)
        read = {name for node in self.nodes for name in node.inputs}
        outputs = [n.outputs[0] for n in self.nodes if n.outputs[0] not in read or self.rng.random() < 0.1]
        graph = Graph("g", tuple(self.inputs), tuple(outputs), tuple(self.nodes), self.types, self.constants)
        graph = graph.without_dead()
        verify(graph)
        return graph

    def convolution(self, x: str) -> None:
        kernel, op = self._window(x, Conv2D)
        self._linear(x, op, (self.pick(2, 4, 7, 8), *kernel), 0)

    def depthwise(self, x: str) -> None:
        kernel, op = self._window(x, DepthwiseConv2D)
        self._linear(x, op, (1, *kernel), 3)

    def residual(self, x: str) -> None:
        """x plus a convolution of itself, or of a convolution of itself."""
        y = x
        for _ in range(self.pick(1, 2)):
            size = self.pick(1, 3, 5)
            window = (self.types[x].shape[3], size, size)
            self._linear(y, Conv2D(padding=(size // 2,) * 4), window, 0)
            y = f"v{len(self.nodes) - 1}"
        self._node(Add(), y, x)

    def activation(self, x: str) -> None:
        """Any function of one value."""
        self._node(Lookup(self.rng.integers(-128, 128, 256).astype(np.int8).tobytes()), x)

    def gate(self, x: str) -> None:
        """x times a function of x, or plus it."""
        self.activation(x)
        operands = [f"v{len(self.nodes) - 1}", x]
        self._node((Mul(), Add(clamp=(-90, 100)))[self.pick(0, 1)], *operands[:: self.pick(1, -1)])

    def scalar(self, x: str) -> None:
        """Plus, minus or times a constant."""
        name = f"v{len(self.nodes)}_k"
        self.types[name] = TensorType((), INT8, QUANT)
        self.constants[name] = self.rng.integers(-128, 128, ()).astype(np.int8)
        self._node((Mul(), Add(), Sub())[self.pick(0, 1, 2)], *[x, name][:: self.pick(1, -1)])

    def pad(self, x: str) -> None:
        above, below, left, right = (int(n) for n in self.rng.integers(0, 3, 4))
        self._node(Pad(((0, 0), (above, below), (left, right), (0, 0)), self.pick(-128, QUANT.zero_point[0], 5)), x)

    def enlarge(self, x: str) -> None:
        """Each pixel becomes a block, unless the image is large."""
        _, height, width, _ = self.types[x].shape
        if height * width > 200:
            self.depthwise(x)
            return
        down, across = self.pick(1, 2, 3), self.pick(1, 2)
        if self.pick(0, 1):
            self._node(ResizeNearestNeighbor((height * down, width * across)), x)
        else:  # as ONNX's Resize is read, and a slice with a step
            self._node(Take(1, tuple(i // down for i in range(height * down))), x)
            self._node(Take(2, tuple(range(0, width, across))), f"v{len(self.nodes) - 1}")

    def skip(self, x: str) -> None:
        """Half the size, as large again, and beside or added to x (U-Net)."""
        _, height, width, channels = self.types[x].shape
        if height % 2 or min(height, width) == 1:
            self.convolution(x)
            return
        across = 2 - width % 2
        self._linear(x, Conv2D((2, across), (1, 1), (1, 0, 1, 2 - across)), (channels, 3, 3), 0)
        self._node(ResizeNearestNeighbor((height, width)), f"v{len(self.nodes) - 1}")
        self._node((Add(), Concatenation(3))[self.pick(0, 1)], f"v{len(self.nodes) - 1}", x)

    def pool(self, x: str) -> None:
        if self.spatial and min(self.types[x].shape[1:3]) >= 3:
            size = self.pick(2, 3)
            above, below = (int(n) for n in self.rng.integers(0, size, 2))
            self._node(MaxPool2D((size, 2), (self.pick(1, 2), 1), (above, below, 0, self.pick(0, 1))), x)
        elif not self.spatial:
            self._node(MaxPool2D((2, 2), (1, 1), (0, 1, 0, 1)), x)

    def add(self, x: str) -> None:
        """With any value of the same shape, itself included."""
        others = [n for n, t in self.types.items() if t.shape == self.types[x].shape and n not in self.constants]
        self._node(Add(), x, others[int(self.rng.integers(len(others)))])

    def concatenate(self, x: str) -> None:
        """Along rows, where the operands lie one after the other in memory, or along channels."""
        axis = self.pick(1, 3)
        rest = [size for i, size in enumerate(self.types[x].shape) if i != axis]
        others = [
            name
            for name, t in self.types.items()
            if name not in self.constants and [size for i, size in enumerate(t.shape) if i != axis] == rest
        ]
        self._node(
            Concatenation(axis), x, *(others[int(self.rng.integers(len(others)))] for _ in range(self.pick(1, 2)))
        )

    def reshape(self, x: str) -> None:
        """The same bytes with height and width exchanged."""
        _, height, width, channels = self.types[x].shape
        self._node(Reshape((1, width, height, channels)), x)

    def input(self) -> str:
        name = f"in{len(self.inputs)}"
        shape = (1, self.pick(11, 16, 21), self.pick(4, 5, 9), self.pick(1, 3, 4)) if self.spatial else (1, 6, 5, 4)
        self.types[name] = TensorType(shape, INT8, QUANT)
        self.inputs.append(name)
        return name

    def _window(self, x: str, op: type[Conv2D] | type[DepthwiseConv2D]) -> tuple[tuple[int, int], Op]:
        """Window and operator; any padding that leaves something to compute."""
        if not self.spatial:
            kernel, stride = self.pick(1, 3), self.pick(1, 1, 2)
            return (kernel, kernel), op((stride, stride), (1, 1), (kernel // 2,) * 4)
        height, width = self.types[x].shape[1:3]
        kernel = (self.pick(1, 2, 3, 3, 5, 7), self.pick(1, 3, 3))
        dilation = self.pick(1, 1, 1, 2)
        reach = [(k - 1) * dilation + 1 for k in kernel]
        before = [int(self.rng.integers(0, r)) for r in reach]
        after = [
            max(int(self.rng.integers(0, r)), r - n - b) for r, n, b in zip(reach, (height, width), before, strict=True)
        ]
        stride = (self.pick(1, 1, 2, 3), self.pick(1, 1, 2)) if dilation == 1 else (1, 1)
        return kernel, op(stride, (dilation, dilation), (before[0], after[0], before[1], after[1]))

    def _linear(self, x: str, op: Op, window: tuple[int, int, int], axis: int) -> None:
        depth = self.types[x].shape[3]
        shape = (*window, depth)
        channels = shape[axis]
        weights = self.rng.integers(-127, 128, shape).astype(np.int8)
        scale = np.full(channels, 0.3 / (73 * (weights.size / channels) ** 0.5), np.float32)
        name = f"v{len(self.nodes)}"
        self.types[f"{name}_w"] = TensorType(shape, INT8, Quantization(scale, np.zeros(channels, np.int64), axis))
        self.types[f"{name}_b"] = TensorType((channels,), INT32)
        self.constants[f"{name}_w"] = weights
        self.constants[f"{name}_b"] = self.rng.integers(-500, 500, channels).astype(np.int32)
        self._node(op, x, f"{name}_w", f"{name}_b")

    def _node(self, op: Op, *inputs: str) -> None:
        name = f"v{len(self.nodes)}"
        ((shape, dtype),) = op.infer([self.types[i] for i in inputs])
        self.types[name] = TensorType(shape, dtype, QUANT)
        self.nodes.append(Node(name, op, inputs, (name,)))
