"""`--keep-tokens`: behind an attention only the tokens go on to which most attention was paid.

The importance of a token is the sum of its column of the attention's probabilities, over all heads and all tokens that
ask: H. Wang, Z. Zhang, S. Han, "SpAtten: Efficient Sparse Attention Architecture with Cascade Token and Head Pruning",
HPCA 2021, section III-A. The tokens with the largest sums are kept, of equal ones the first, in their order. They are
taken out of the first value behind the attention that all of the rest of the model passes through: of a residual
stream, the sum that ends the attention's half of the block, so that its other half has fewer tokens already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, INT32
from tinycompile.errors import UsageError
from tinycompile.ir import Array, Graph, Node, Op, TensorType, free_name, verify
from tinycompile.ops.bitwise_xor import BitwiseXor
from tinycompile.ops.cast import Cast
from tinycompile.ops.gather import Gather
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.spatial_sum import SpatialSum
from tinycompile.ops.top_k import TopK
from tinycompile.passes.token_axis import NONE, Axes, RigidError, resized, with_size

FEWEST = 2
"""Tokens that can be kept: where there is a single one, nothing tells it from what all tokens share."""
_FIRST = "first"


@dataclass(frozen=True)
class Keep:
    """What is wanted of an attention.

    Attributes:
        layer: its number, from 1 on, its softmax's name, or a part of that which no other attention's has.
        count: how many tokens go on. first: the first token is one of them, as a class token must be.
    """

    layer: str
    count: int
    first: bool = False

    @staticmethod
    def of(text: str) -> Keep:
        """From "LAYER=K" or "LAYER=K,first". Raises UsageError."""
        layer, separator, rest = text.rpartition("=")
        number, comma, word = rest.partition(",")
        if not separator or not layer or not number.isdecimal() or (comma and word != _FIRST):
            raise UsageError(
                f"--keep-tokens {text!r} says nothing that is known",
                why="it is LAYER=K, or LAYER=K,first where the first token stays in any case",
                hint="--keep-tokens 1=32 for the first attention",
            )
        return Keep(layer, int(number), bool(comma))


@dataclass(frozen=True)
class Pruned:
    """What became of an attention: of its `tokens` `kept` go on, among them the `first` one for certain."""

    attention: str
    tokens: int
    kept: int
    first: bool


def keep_tokens(graph: Graph, wanted: Sequence[Keep], where: str = "") -> tuple[Graph, tuple[Pruned, ...]]:
    """The graph with fewer tokens behind some attentions, in the order in which it has these.

    Raises:
        UsageError: there is no such attention, or nothing behind it that can have fewer tokens.
    """
    graph = graph.without_dead()
    found = attentions(graph)
    chosen = sorted(((_chosen(keep, found, where), keep) for keep in wanted), key=lambda pair: pair[0])
    places = [place for place, _ in chosen]
    if len(set(places)) < len(places):
        raise UsageError("--keep-tokens names an attention twice", where=where, hint="one number for each")
    pruned = list[Pruned]()
    for place, keep in chosen:
        graph, what = _with_fewer(graph, found[place], keep, where)
        verify(graph, f"keep_tokens of {found[place]}")
        pruned.append(what)
    return graph, tuple(pruned)


def attentions(graph: Graph) -> list[str]:
    """The softmaxes over tokens that look at each other, by name, in the order of execution."""
    return [
        node.name for node in graph.nodes if isinstance(node.op, Softmax) and _is_square(graph.types[node.outputs[0]])
    ]


def _is_square(t: TensorType) -> bool:
    return len(t.shape) > 1 and t.shape[-1] == t.shape[-2] > 1


def _chosen(keep: Keep, names: Sequence[str], where: str) -> int:
    numbers = [i for i in range(len(names)) if str(i + 1) == keep.layer]
    found = numbers or [i for i, name in enumerate(names) if name == keep.layer]
    found = found or [i for i, name in enumerate(names) if keep.layer in name]
    if len(found) == 1:
        return found[0]
    listed = "; ".join(f"{i}: {name}" for i, name in enumerate(names, 1)) or "none"
    raise UsageError(
        f"--keep-tokens: {len(found) or 'no'} attentions are called {keep.layer!r}",
        where=where,
        why=f"the softmaxes of tokens over tokens are: {listed}",
        hint="name one by its number",
    )


def _with_fewer(graph: Graph, name: str, keep: Keep, where: str) -> tuple[Graph, Pruned]:
    at = next(i for i, node in enumerate(graph.nodes) if node.name == name)
    weights = graph.nodes[at].outputs[0]
    tokens = graph.types[weights].shape[-1]
    if not FEWEST <= keep.count < tokens:
        raise UsageError(
            f"--keep-tokens: {keep.count} of {tokens} tokens of {name}",
            where=where,
            hint=f"{FEWEST} to {tokens - 1}",
        )
    stream, axes, behind = _stream(graph, at, tokens, where)
    build = _Builder(graph, f"{name}/keep_tokens")
    sums = build.sums(weights)
    # Right behind the softmax, so that a kernel of the whole attention may add up what passes.
    graph = replace(graph, nodes=(*graph.nodes[: at + 1], *build.nodes, *graph.nodes[at + 1 :]))
    behind, build.nodes = behind + len(build.nodes), list[Node]()
    positions = build.positions(sums, keep)
    kept = build.node("kept", Gather(min(axes)), [stream, positions], like=graph.types[stream])
    nodes, types, after = build.nodes, build.types, {kept: axes}
    for node in graph.nodes[behind:]:
        moved = replace(node, inputs=tuple(kept if each == stream else each for each in node.inputs))
        now = replace(graph, types={**types, kept: graph.types[stream]})  # as they are before there are fewer
        try:
            new = resized(now, moved, after, keep.count)
        except RigidError as error:
            raise UsageError(
                f"--keep-tokens: {node.name} can't have {keep.count} tokens instead of {tokens}",
                where=where,
                why=str(error),
                hint="an attention further back, behind which no layer names single tokens",
            ) from error
        nodes.append(new.node)
        after |= {value: found for value, found in zip(node.outputs, new.axes, strict=True) if found}
    types |= {value: with_size(types[value], found, keep.count) for value, found in after.items() if value != kept}
    changed = {value for node in graph.nodes[behind:] for value in node.outputs}
    sources = {value: source for value, source in graph.sources.items() if value not in changed}
    result = replace(
        graph,
        nodes=(*graph.nodes[:behind], *nodes),
        types=types,
        constants={**graph.constants, **build.constants},
        sources=sources,
    )
    return result, Pruned(name, tokens, keep.count, keep.first)


def _stream(graph: Graph, at: int, tokens: int, where: str) -> tuple[str, Axes, int]:
    """(the first value behind a softmax that everything else passes through, its axis of tokens, the number of the node
    behind which it is complete).
    """
    weights = graph.nodes[at].outputs[0]
    last = {name: i for i, node in enumerate(graph.nodes) for name in node.inputs}
    last |= dict.fromkeys(graph.results, len(graph.nodes))
    computed, axes, why = set(graph.given), {weights: frozenset({len(graph.types[weights].shape) - 2})}, ""
    for i, node in enumerate(graph.nodes):
        if computed.intersection(node.inputs):
            computed.update(node.outputs)
        if i > at and any(name in axes for name in node.inputs):
            try:
                axes |= _followed(graph, node, axes, tokens - 1)
            except RigidError as error:
                why = f"{node.name}: {error}"
        live = [name for name in computed if last.get(name, -1) > i]
        if i > at and len(live) == 1 and len(axes.get(live[0], NONE)) == 1 and i + 1 < len(graph.nodes):
            return live[0], axes[live[0]], i + 1
    raise UsageError(
        f"--keep-tokens: behind {graph.nodes[at].name} nothing has tokens that could be fewer",
        where=where,
        why=why or "there is no value with an axis of its tokens that all of the rest of the model passes through",
        hint="an attention in front of another block, in a model without states",
    )


def _followed(graph: Graph, node: Node, axes: dict[str, Axes], size: int) -> dict[str, Axes]:
    """Where a node's results have the tokens that ask; what is added to them has as many."""
    given = dict(axes)
    tracked = next(name for name in node.inputs if name in axes)
    for name in node.inputs:
        if name not in axes and name not in graph.constants and graph.types[name].shape == graph.types[tracked].shape:
            given[name] = axes[tracked]
    try:
        new = resized(graph, node, axes, size)
    except RigidError:
        new = resized(graph, node, given, size)
    return {name: found for name, found in zip(node.outputs, new.axes, strict=True) if found}


class _Builder:
    """Nodes that find the tokens to keep."""

    def __init__(self, graph: Graph, stem: str) -> None:
        self._stem, self._taken = stem, {*graph.types, *(node.name for node in graph.nodes)}
        self.nodes, self.types = list[Node](), dict(graph.types)
        self.constants = dict[str, Array]()

    def node(self, part: str, op: Op, inputs: Sequence[str], like: TensorType | None = None) -> str:
        """The name of a node's first result; with the quantisation of `like`."""
        name = self._free(part)
        found = op.infer([self.types[each] for each in inputs])
        names = [name, *(self._free(f"{part}_{i}") for i in range(1, len(found)))]
        for each, (shape, dtype) in zip(names, found, strict=True):
            self.types[each] = TensorType(shape, dtype, None if like is None else like.quant)
        self.nodes.append(Node(name, op, tuple(inputs), tuple(names)))
        return name

    def constant(self, part: str, value: Array, t: TensorType) -> str:
        name = self._free(part)
        self.types[name], self.constants[name] = replace(t, shape=value.shape), value
        return name

    def positions(self, sums: str, keep: Keep) -> str:
        """int32 (count,): which tokens are kept, in their order.

        Args:
            sums: of columns, in any shape.
        """
        flat = Reshape((self.types[sums].elements,))
        importance = sums if self.types[sums].shape == flat.shape else self.node("importance", flat, [sums])
        t = self.types[importance]
        if keep.first:
            lowest, highest = (-np.inf, np.inf) if t.dtype == FLOAT32 else t.dtype.range
            most = np.full(t.shape, lowest, t.dtype.carrier)
            most[0] = highest
            importance = self.node("with_first", Maximum(), [importance, self.constant("most", most, t)])
        self.node("largest", TopK(keep.count), [importance])
        found = self.nodes[-1].outputs[1]
        ones = self.constant("ones", np.full(1, -1, np.int32), self.types[found])
        # The largest complements are those of the smallest positions.
        falling = self.node("sorted", TopK(keep.count), [self.node("complement", BitwiseXor(), [found, ones])])
        return self.node("positions", BitwiseXor(), [falling, ones])

    def sums(self, weights: str) -> str:
        """(..., tokens): the sums of the columns of (..., tokens, tokens)."""
        t = self.types[weights]
        *outer, rows, columns = t.shape
        if t.dtype == INT8:
            shape = (1, prod(outer), rows, columns)
            image = weights if t.shape == shape else self.node("image", Reshape(shape), [weights], like=t)
            return self.node("sums", SpatialSum(), [image])
        if t.dtype == INT16:
            weights = self.node("wide", Cast(INT32), [weights])
        return self.node("importance", ReduceSum(tuple(range(len(t.shape) - 1)), keep_dims=False), [weights])

    def _free(self, part: str) -> str:
        name = free_name(f"{self._stem}/{part}", self._taken)
        self._taken.add(name)
        return name
