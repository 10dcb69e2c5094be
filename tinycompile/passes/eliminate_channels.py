"""Constant-channel elimination: channels that are constant or that nobody reads disappear, with every product in them.

A constant channel that a convolution or fully connected layer reads is folded into that layer's bias. It is exact: a
constant that padding surrounds is folded only where it equals the padded value. Channels survive or go together
where an operator maps channel to channel (`Links`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import IncompatibleError
from tinycompile.ir import Array, Graph, Node, Op, Pass, Quantization, Source, TensorType
from tinycompile.numerics.requant import TfliteRequant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._elementwise import Unary
from tinycompile.ops._reduce import Reduction
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.sub import Sub
from tinycompile.passes.channel_facts import UNTRAINED, Interval, Scheme, Trained, intervals, keeps_channels


def eliminate_channels(graph: Graph) -> Graph:
    """Remove what can't influence any output. Model inputs and outputs keep all their channels."""
    facts = intervals(graph)
    return _without_channels(graph, facts, _kept_channels(graph, facts, {}))


def eliminate_untrainable(graph: Graph, scheme: Scheme) -> tuple[Graph, Mapping[str, Array]]:
    """The same of a model of which a scheme's layers are going to be trained: without channels that can't influence any
    output as long as it learns, and whose parameters never change.

    Returns:
        The graph, and the channels that are left of each value that has fewer.
    """
    facts = intervals(graph, scheme)
    kept = _kept_channels(graph, facts, {}, scheme)
    smaller = _without_channels(graph, facts, kept, scheme)
    return smaller, {} if smaller is graph else _fewer(graph, kept)


def kept_channels(graph: Graph, at_least: Mapping[str, Array] | None = None) -> dict[str, Array]:
    """The channels that each value keeps in `eliminate_channels`, and those they need in turn.

    Args:
        at_least: channels that stay in any case.
    """
    return _kept_channels(graph, intervals(graph), at_least or {})


def _without_channels(
    graph: Graph, facts: Mapping[str, Interval], kept: Mapping[str, Array], scheme: Scheme = UNTRAINED
) -> Graph:
    changed = _fewer(graph, kept)
    if not changed:
        return graph
    rewriter = _Rewriter(graph, facts, kept, changed, scheme)
    rewritten = rewriter.run()
    return graph if rewritten is None else rewritten.without_dead()


def _fewer(graph: Graph, kept: Mapping[str, Array]) -> dict[str, Array]:
    """Of the values that lose channels."""
    return {name: channels for name, channels in kept.items() if channels.size < graph.types[name].shape[-1]}


def eliminating_the_same(other: Graph) -> Pass:
    """The pass for weights that the code of other weights is for: it removes the same channels.

    It raises IncompatibleError where a channel that the others don't need is needed.

    Args:
        other: the graph of the others, in front of this pass.
    """
    wanted = kept_channels(other)

    def eliminate_the_same_channels(graph: Graph) -> Graph:
        needed = kept_channels(graph, wanted)
        for name, channels in wanted.items():
            more = np.setdiff1d(needed[name], channels)
            if more.size:
                raise IncompatibleError(
                    f"channel {more[0]} of {name!r} was constant or unread in the old model and isn't in the new one",
                    where=graph.name,
                    why="the old code doesn't compute it",
                    hint="--updatable, for the build that goes into the field, keeps all channels",
                )
        return _without_channels(graph, intervals(graph), wanted)

    return eliminate_the_same_channels


def is_matrix(graph: Graph, node: Node) -> bool:
    """Layers of int8 that mix channels: an input channel can go by itself. Weights and bias must be known."""
    if graph.types[node.inputs[0]].dtype != INT8:
        return False
    if not isinstance(node.op, Conv2D | FullyConnected) or any(n not in graph.constants for n in node.inputs[1:]):
        return False
    return graph.types[node.inputs[0]].shape[-1] == graph.types[node.inputs[1]].shape[-1]


def maps_channels(graph: Graph, node: Node) -> bool:
    """Operators of int8 whose output channel c depends on that channel of their operands only, all of its width."""
    if not node.inputs or graph.types[node.inputs[0]].dtype != INT8:
        return False
    match node.op:
        case DepthwiseConv2D():
            same = graph.types[node.inputs[0]].shape[-1] == graph.types[node.outputs[0]].shape[-1]
            return same and all(n in graph.constants for n in node.inputs[1:])
        case AveragePool2D() | MaxPool2D() | Unary():
            return True
        case Add() | Sub():
            shapes = {graph.types[name].shape for name in (*node.inputs, *node.outputs)}
            return len(shapes) == 1 and not any(n in graph.constants for n in node.inputs)
        case Reshape():
            return keeps_channels(graph, node)
        case Reduction(axes=axes):
            return len(graph.types[node.inputs[0]].shape) - 1 not in axes
        case _:
            return False


def channel_operands(node: Node) -> tuple[str, ...]:
    """The operands that are activations."""
    return node.inputs[:1] if isinstance(node.op, Conv2D | DepthwiseConv2D | FullyConnected) else node.inputs


class Links:
    """Classes of values whose channels correspond one to one."""

    def __init__(self, graph: Graph) -> None:
        self._parent = {name: name for name in graph.types}
        for node in graph.nodes:
            if maps_channels(graph, node):
                for name in channel_operands(node):
                    self._parent[self.of(name)] = self.of(node.outputs[0])

    def of(self, name: str) -> str:
        """The representative of a value's class."""
        while self._parent[name] != name:
            name = self._parent[name]
        return name


def _kept_channels(
    graph: Graph, facts: Mapping[str, Interval], at_least: Mapping[str, Array], scheme: Scheme = UNTRAINED
) -> dict[str, Array]:
    """The channels each value must keep; only values that may shrink are in the result."""
    links = Links(graph)
    candidates = [name for name, t in graph.types.items() if name in facts and name not in graph.constants and t.shape]
    width = {links.of(name): graph.types[name].shape[-1] for name in candidates}
    needed = {root: np.zeros(size, np.bool_) for root, size in width.items()}

    def need_all(name: str) -> None:
        if links.of(name) in needed:
            needed[links.of(name)][:] = True

    for name, channels in at_least.items():
        needed[links.of(name)][channels] = True
    for name in (*graph.given, *graph.results):
        need_all(name)
    for node in graph.nodes:
        if not (is_matrix(graph, node) or maps_channels(graph, node)):
            for name in (*node.inputs, *node.outputs):
                need_all(name)
    _with_what_they_read(graph, facts, links, needed, scheme)
    while unread := [flags for flags in needed.values() if not flags.any()]:
        unread[-1][0] = True  # a tensor without channels has no meaning; this one is computed as it was
        _with_what_they_read(graph, facts, links, needed, scheme)
    return {name: np.flatnonzero(needed[links.of(name)]) for name in candidates}


def _with_what_they_read(
    graph: Graph, facts: Mapping[str, Interval], links: Links, needed: Mapping[str, Array], scheme: Scheme
) -> None:
    """Adds the channels that those that are needed are computed from, and so on."""
    changed = True
    while changed:
        changed = False
        for node in reversed(graph.nodes):
            if not is_matrix(graph, node):
                continue
            mine, outputs = needed[links.of(node.inputs[0])], needed[links.of(node.outputs[0])]
            wanted = mine | _reads(graph, node, facts, outputs, scheme)
            changed |= bool(np.any(wanted != mine))
            mine[:] = wanted


def _reads(graph: Graph, node: Node, facts: Mapping[str, Interval], outputs: Array, scheme: Scheme) -> Array:
    """Input channels that reach a needed output and can't be folded into the bias."""
    weights = graph.constants[node.inputs[1]]
    reaches = (weights[outputs] != 0).reshape(-1, weights.shape[-1]).any(axis=0)
    return (reaches | _learns(graph, node, scheme)) & ~_foldable(graph, node, facts, scheme)


def _learns(graph: Graph, node: Node, scheme: Scheme) -> Array:
    """Input channels whose weights are trained."""
    depth, trained = graph.types[node.inputs[0]].shape[-1], scheme.get(node.name, Trained())
    return np.arange(depth) < (depth if trained.weights is None else trained.weights)


def _foldable(graph: Graph, node: Node, facts: Mapping[str, Interval], scheme: Scheme) -> Array:
    """A weight that is trained learns of a constant that isn't 0."""
    x = facts[node.inputs[0]]
    is_zero = x.constant & (x.low == graph.types[node.inputs[0]].zero_point)
    if isinstance(node.op, Conv2D) and any(node.op.padding):
        return is_zero
    return np.where(_learns(graph, node, scheme), is_zero, x.constant)


@dataclass
class _Rewriter:
    """Builds the smaller graph."""

    graph: Graph
    facts: Mapping[str, Interval]
    kept: Mapping[str, Array]
    changed: Mapping[str, Array]
    scheme: Scheme

    def run(self) -> Graph | None:
        """None where a folded bias would leave int32."""
        graph = self.graph
        self.types = dict(graph.types)
        self.constants = dict(graph.constants)
        sources = dict(graph.sources)
        for name, channels in self.changed.items():
            t = graph.types[name]
            self.types[name] = replace(t, shape=(*t.shape[:-1], channels.size))
            if name in sources:
                sources[name] = _selected(sources[name], channels)
        nodes = list[Node]()
        for node in graph.nodes:
            rewritten = self._node(node)
            if rewritten is None:
                return None
            nodes.append(rewritten)
        return replace(graph, nodes=tuple(nodes), types=self.types, constants=self.constants, sources=sources)

    def _node(self, node: Node) -> Node | None:
        touched = any(name in self.changed for name in (node.inputs[0], node.outputs[0]))
        if not touched:
            return node
        if isinstance(node.op, Reshape):
            return replace(node, op=replace(node.op, shape=self.types[node.outputs[0]].shape))
        if isinstance(node.op, DepthwiseConv2D):
            channels = self.kept[node.outputs[0]]
            operands = [self._constant(node, node.inputs[1], 3, channels)]
            operands += [self._constant(node, name, 0, channels) for name in node.inputs[2:]]
            return replace(node, op=cut_rule(node.op, channels), inputs=(node.inputs[0], *operands))
        return self._matrix(node) if is_matrix(self.graph, node) else node

    def _matrix(self, node: Node) -> Node | None:
        """Fold the constant channels that go into the bias, then cut weights and bias."""
        graph, x, y = self.graph, node.inputs[0], node.outputs[0]
        weights = graph.constants[node.inputs[1]].astype(np.int64)
        gone = np.ones(weights.shape[-1], np.bool_)
        gone[self.kept[x]] = False
        fold = gone & self.facts[x].constant & _foldable(graph, node, self.facts, self.scheme)
        value = np.where(fold, self.facts[x].low - graph.types[x].zero_point, 0)
        constant = (weights * value).reshape(weights.shape[0], -1).sum(axis=1)
        bias = constant + sum(graph.constants[name] for name in node.inputs[2:])  # at most one
        if _is_exact(node.op) and (bias.min() < -(2**31) or bias.max() >= 2**31):
            return None  # TFLite's accumulators wrap, and so may their bias
        outputs = self.kept[y]
        cut = self._constant(node, node.inputs[1], 0, outputs, self.kept[x])
        name = self._bias(node, bias.astype(np.int32)[outputs], outputs)
        return replace(node, op=cut_rule(node.op, outputs), inputs=(x, cut, name))

    def _bias(self, node: Node, values: Array, outputs: Array) -> str:
        name = f"{node.name}/bias of the remaining channels"
        old = self.graph.types[node.inputs[2]] if len(node.inputs) > 2 else TensorType((0,), INT32)
        self.types[name] = TensorType(values.shape, INT32, cut_quant(old.quant, outputs))
        self.constants[name] = values
        return name

    def _constant(self, node: Node, name: str, axis: int, channels: Array, last: Array | None = None) -> str:
        """A copy of a constant with only `channels` of its channel axis and `last` of its last axis."""
        cut = f"{name} cut for {node.name}"
        values = np.take(self.graph.constants[name], channels, axis=axis)
        values = values if last is None else np.take(values, last, axis=-1)
        t = self.graph.types[name]
        quant = cut_quant(t.quant, channels)
        self.types[cut] = TensorType(values.shape, t.dtype, quant)
        self.constants[cut] = values
        return cut


def _is_exact(op: Op) -> bool:
    """Whether the layer's sums are real numbers, as ONNX's are."""
    return isinstance(op, Conv2D | FullyConnected) and isinstance(op.rule, StepRequant)


def cut_rule(op: Op, channels: Array) -> Op:
    """The operator with the requantisation of the remaining output channels only, where it has one of its own."""
    if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected) and isinstance(op.rule, StepRequant | TfliteRequant):
        return replace(op, rule=op.rule.take(channels))
    return op


def cut_quant(quant: Quantization | None, channels: Array) -> Quantization | None:
    """Scales and zero points of the remaining channels."""
    if quant is None or quant.is_per_tensor:
        return quant
    return Quantization(quant.scale[channels], quant.zero_point[channels], quant.axis)


def _selected(source: Source, channels: Array) -> Source:
    already = source.channels
    return replace(source, channels=channels if already is None else already[channels])
