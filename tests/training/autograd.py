"""Gradients of training steps against PyTorch's autograd, on random networks of all operators with a gradient rule.

`python -m tests.training.autograd NETWORKS` compares so many. PyTorch computes with real numbers; behind each operator
its result becomes what the int8 network has there, and a clamped one is a constant, as in quantisation-aware training.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from tests.training.gradients import gradients, real
from tests.training.networks import KINDS, MORE_KINDS, RandomNetwork, with_factors
from tinycompile.interpreter import run
from tinycompile.ir import Array, Graph, Node, TensorType
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._elementwise import Binary, Unary
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.hard_swish import HardSwish
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

WITHIN = 2.0**-8
"""Of the norm that a gradient would have if nothing in its sums cancelled: values have 15 bits, and are rounded a few
times.
"""

LABEL = 2
FUNCTIONS: dict[type[Unary], Callable[[Any], Any]] = {
    Tanh: torch.tanh,
    Logistic: torch.sigmoid,
    HardSwish: torch.nn.functional.hardswish,
    Lookup: torch.sin,
}


@dataclass
class Real:
    """A network of real numbers at the values that its int8 form computes of a sample."""

    graph: Graph
    values: dict[str, Array]

    def gradients(self, first: Array) -> tuple[dict[str, Array], dict[str, float]]:
        """(of the layers' weights and biases, from that of the scores, the norms of their sums of absolute values)."""
        found: dict[str, Any] = {}
        layers: list[tuple[Node, Any]] = []
        for name in (*self.graph.inputs, *self.graph.constants):
            if self.graph.types[name].quant is not None:
                found[name] = torch.tensor(real(self.values[name], self.graph.types[name]), requires_grad=True)
        for node in self.graph.nodes:
            self._layer_bias(node, found)
            y = self._result(node, [found[n] for n in node.inputs])
            found[node.outputs[0]] = self._quantised(node, y)
            if isinstance(node.op, Convolution | FullyConnected):
                y.retain_grad()
                layers.append((node, y))
        scores = found[self.graph.outputs[0]]
        scores.backward(torch.tensor(first.reshape(scores.shape)))
        exact = {name: own.grad.numpy() for name, own in found.items() if own.is_leaf and own.grad is not None}
        sizes: dict[str, float] = {}
        for node, y in layers:
            if y.grad is not None:
                gradient = np.abs(y.grad.numpy())
                sizes[node.inputs[2]] = float(np.linalg.norm(gradient.reshape(-1, gradient.shape[-1]).sum(axis=0)))
                sizes[node.inputs[1]] = self._size(node, gradient, np.abs(found[node.inputs[0]].detach().numpy()))
        return exact, sizes

    def _size(self, node: Node, gradient: Array, x: Array) -> float:
        """The norm of sums of absolute products."""
        assert isinstance(node.op, Convolution | FullyConnected)
        geometry = node.op.geometry(*self.graph.signature(node).inputs[:2])
        units = [2.0**-20 * max(float(own.max()), 1e-30) for own in (gradient, x)]
        whole = gradient.reshape(*geometry.positions, -1) / units[0], x.reshape(geometry.image) / units[1]
        return float(np.linalg.norm(geometry.weight_sums(*map(np.rint, whole)))) * units[0] * units[1]

    def _layer_bias(self, node: Node, found: dict[str, Any]) -> None:
        if isinstance(node.op, Convolution | FullyConnected):
            scales = self.graph.types[node.inputs[1]].quant
            assert scales is not None
            steps = self.graph.types[node.inputs[0]].scale * scales.scale.astype(np.float64)
            found[node.inputs[2]] = torch.tensor(self.values[node.inputs[2]] * steps, requires_grad=True)

    def _quantised(self, node: Node, y: Any) -> Any:
        """What the int8 network has; a constant where an operator that computes clamped it."""
        name = node.outputs[0]
        stored, t = self.values[name], self.graph.types[name]
        computes = isinstance(node.op, Convolution | FullyConnected | Binary | Unary | Mean | Quantize)
        if computes and not isinstance(node.op, Maximum | Minimum):
            low, high = getattr(node.op, "clamp", (-128, 127))
            y = torch.where(torch.tensor((stored > low) & (stored < high)), y, y.detach())
        return y + (torch.tensor(real(stored, t)) - y).detach()

    def _result(self, node: Node, x: list[Any]) -> Any:
        op, types = node.op, self.graph.signature(node)
        match op:
            case Convolution():
                return convolution(op, types.input, *x)
            case FullyConnected():
                return torch.nn.functional.linear(*x)
            case Add() | Sub() | Mul():
                return {Add: torch.add, Sub: torch.sub, Mul: torch.mul}[type(op)](*x)
            case Maximum() | Minimum():
                if self.graph.constants.keys().isdisjoint(node.inputs):
                    return torch.where(x[0] >= x[1] if isinstance(op, Maximum) else x[0] <= x[1], *x)
                own, number = x[:: -1 if node.inputs[0] in self.graph.constants else 1]
                return torch.where(own > number if isinstance(op, Maximum) else own < number, own, number)
            case Mean():
                return x[0].mean(op.axes, keepdim=op.keep_dims)
            case Quantize():
                return x[0]
            case Relu():
                return x[0]
            case Unary():
                return averaged(FUNCTIONS[type(op)], x[0], types.input.scale)
            case _:
                return moved(op, x) * (types.output.scale / types.input.scale)


def averaged(function: Callable[[Any], Any], x: Any, step: float) -> Any:
    """A function's mean over the numbers that an int8 value stands for, whose slope is the mean slope."""
    places = torch.arange(-511.5, 512, 1, dtype=x.dtype) / 1024 * step
    return function(x[..., None] + places).mean(dim=-1)


def moved(op: Any, x: list[Any]) -> Any:
    """Operators that hand int8 values on, whatever scales say."""
    match op:
        case AveragePool2D() | MaxPool2D():
            return pooled(op, x[0])
        case Pad():
            return torch.nn.functional.pad(x[0], [n for pair in reversed(op.amounts) for n in pair])
        case Reshape():
            return x[0].reshape(op.shape)
        case Transpose():
            return x[0].permute(op.permutation)
        case Take():
            return x[0].index_select(op.axis, torch.tensor(op.indices))
        case Concatenation():
            return torch.cat(x, dim=op.axis)
        case Slice():
            for axis, (begin, size, step) in enumerate(zip(op.begin, op.size, op.step, strict=True)):
                x[0] = x[0].index_select(axis, torch.arange(begin, begin + size * step, step))
            return x[0]
        case _:
            raise NotImplementedError(op.kind)


def framed(x: Any, padding: tuple[int, ...], value: float = 0.0) -> Any:
    top, bottom, left, right = padding
    return torch.nn.functional.pad(x.permute(0, 3, 1, 2), (left, right, top, bottom), value=value)


def convolution(op: Convolution, t: TensorType, x: Any, weights: Any, bias: Any) -> Any:
    """NHWC."""
    filters = weights.permute(3, 0, 1, 2) if isinstance(op, DepthwiseConv2D) else weights.permute(0, 3, 1, 2)
    groups = t.shape[3] // filters.shape[1]
    found = torch.nn.functional.conv2d(framed(x, op.padding), filters, bias, op.stride, 0, op.dilation, groups)
    return found.permute(0, 2, 3, 1)


def pooled(op: AveragePool2D | MaxPool2D, x: Any) -> Any:
    """NHWC; averages of what is inside of the image."""
    if isinstance(op, MaxPool2D):
        found = torch.nn.functional.max_pool2d(framed(x, op.padding, -1e9), op.kernel, op.stride)
    else:
        sums, counts = (
            torch.nn.functional.avg_pool2d(framed(own, op.padding), op.kernel, op.stride)
            for own in (x, torch.ones_like(x))
        )
        found = sums / counts
    return found.permute(0, 2, 3, 1)


def differences(graph: Graph, sample: Array, form: Callable[[Graph], Graph] | None = None) -> dict[str, float]:
    """Of each trained parameter's gradient from PyTorch's, as `WITHIN` says."""
    own = graph if form is None else form(graph)
    first, found = gradients(own, sample)
    exact, sizes = Real(graph, run(own, [sample]) | dict(graph.constants)).gradients(first)
    return {
        name: float(np.linalg.norm(own - exact[name])) / max(sizes.get(name, 0.0), 1e-30)
        for name, own in found.items()
        if np.any(own) or np.any(exact[name])
    }


def main() -> int:
    worst = 0.0
    for seed in range(int(sys.argv[1])):
        network = RandomNetwork(seed)
        graph = network.grow(8, KINDS + MORE_KINDS)
        found = differences(graph, network.sample, (None, with_factors)[seed % 2])
        own = max(found.values(), default=0.0)
        worst = max(worst, own)
        if own > WITHIN:
            print(f"network {seed}: {max(found, key=lambda name: found[name])} differs by {own:.2%}")
    print(f"{sys.argv[1]} networks: gradients differ from PyTorch's by up to {worst:.3%} of their norm")
    return int(worst > WITHIN)


if __name__ == "__main__":
    sys.exit(main())
