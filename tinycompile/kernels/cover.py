"""Covers: which nodes a kernel computes, one or several fused ones.

A kernel for one node is the trivial cover. For several, a factory is registered for a `Pattern` of operators, and what
it is shown is one node with the operator `Fused`, which has the parts. The planner chooses among all covers; where it
takes one of several nodes, this `Fused` node stands in the planned graph in their place, so that whatever comes
after the planner has one node per kernel, as ever.

The meaning is that of the parts one after the other: the rounding between them is kept, only the tensor between them
is never in memory.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, wraps
from itertools import pairwise
from typing import ClassVar

from tinycompile.dtypes import INT8, DType
from tinycompile.ir import Array, Graph, Node, Op, Signature, Site, TensorType
from tinycompile.kernels.base import Factory, Kernel, kernel_for
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose
from tinycompile.targets.core import Core

MANY_PARTS = 3
"""With more, a title has those alone that compute."""


@dataclass(frozen=True, eq=False)
class Fused(Op):
    """Several nodes as one operator.

    Attributes:
        nodes: its parts, in the order of execution. What one of them makes is read by others alone, or by none: then it
            is a result, as all that the last part makes.
        inner: types of the values between the parts.
        operands: what the parts read from outside, each once, in the order in which they do.
    """

    kind: ClassVar[str] = "fused"

    nodes: tuple[Node, ...]
    inner: Mapping[str, TensorType]
    operands: tuple[str, ...]

    @property
    def title(self) -> str:
        """The kinds of the parts; of many without those that only say where elements are: attention has up to five."""
        titles = [node.op.title for node in self.nodes]
        computing = [node.op.title for node in self.nodes if not isinstance(node.op, Reshape | Transpose)]
        return " + ".join(computing if computing and len(titles) > MANY_PARTS else titles)

    @property
    def results(self) -> tuple[str, ...]:
        """The last part's, then those of others."""
        return (*self.nodes[-1].outputs, *(n for node in self.nodes[:-1] for n in node.outputs if n not in self.inner))

    @property
    def updates(self) -> Mapping[int, int]:
        """What the last part may have in the memory of an operand that no other part reads."""
        last, others = self.nodes[-1], {name for node in self.nodes[:-1] for name in node.inputs}
        own = {result: last.inputs[operand] for result, operand in last.op.updates.items()}
        return {r: self.operands.index(name) for r, name in own.items() if name in self.operands and name not in others}

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        types = dict(self.inner) | dict(zip(self.operands, inputs, strict=True))
        found = dict[str, tuple[tuple[int, ...], DType]]()
        for node in self.nodes:
            made = node.op.infer([types[name] for name in node.inputs])
            found.update(zip(node.outputs, made, strict=True))
            expected = [(types[name].shape, types[name].dtype) for name in node.outputs if name in self.inner]
            if [found[name] for name in node.outputs if name in self.inner] != expected:
                raise ValueError(f"{node.name} doesn't yield {expected}")
        return tuple(found[name] for name in self.results)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        values = dict(zip(self.operands, inputs, strict=True))
        for node, part in zip(self.nodes, self.signatures(sig), strict=True):
            results = node.op.evaluate(part, [values[name] for name in node.inputs])
            values.update(zip(node.outputs, results, strict=True))
        return tuple(values[name] for name in self.results)

    def macs(self, sig: Signature) -> int:
        return sum(node.op.macs(part) for node, part in zip(self.nodes, self.signatures(sig), strict=True))

    def signatures(self, sig: Signature) -> list[Signature]:
        """Of the parts."""
        types = dict(self.inner) | dict(zip(self.operands, sig.inputs, strict=True))
        types.update(zip(self.results, sig.outputs, strict=True))
        return [Signature(tuple(types[n] for n in p.inputs), tuple(types[n] for n in p.outputs)) for p in self.nodes]


def parts_of(site: Site) -> tuple[Site, ...]:
    """The parts of a fused node with what is known about each; a node that isn't fused is its only part."""
    op = site.node.op
    if not isinstance(op, Fused):
        return (site,)
    constants = dict(zip(op.operands, site.constants, strict=True))
    return tuple(
        Site(node, sig, tuple(constants.get(name) for name in node.inputs), site.latitude)
        for node, sig in zip(op.nodes, op.signatures(site.sig), strict=True)
    )


def first_and_rest(site: Site) -> tuple[Site, Site]:
    """A fused node's first part and the others, which are fused if they are several."""
    parts, op = parts_of(site), site.node.op
    if not isinstance(op, Fused) or len(parts) == 2:
        first, rest = parts
        return first, rest
    types = dict(op.inner) | dict(zip((*op.operands, *op.results), (*site.sig.inputs, *site.sig.outputs), strict=True))
    node = fused(op.nodes[1:], types)
    constants = dict(zip(op.operands, site.constants, strict=True))
    sig = Signature(tuple(types[name] for name in node.inputs), site.sig.outputs)
    return parts[0], Site(node, sig, tuple(constants.get(name) for name in node.inputs), site.latitude)


def fused(nodes: Sequence[Node], types: Mapping[str, TensorType]) -> Node:
    """Nodes in the order of execution as one, which is named after all of them."""
    read = dict.fromkeys(name for node in nodes for name in node.inputs)
    made = {name for node in nodes[:-1] for name in node.outputs}
    op = Fused(tuple(nodes), {n: types[n] for n in made if n in read}, tuple(n for n in read if n not in made))
    return Node(" + ".join(node.name for node in nodes), op, op.operands, op.results)


def contracted(graph: Graph, nodes: Sequence[Node]) -> Graph:
    """The graph with other nodes, some of which may be fused: without the values that are inside of these."""
    inner = {name for node in nodes if isinstance(node.op, Fused) for name in node.op.inner}
    return replace(
        graph,
        nodes=tuple(nodes),
        types={name: t for name, t in graph.types.items() if name not in inner},
        sources={name: source for name, source in graph.sources.items() if name not in inner},
    )


def part_nodes(node: Node) -> tuple[Node, ...]:
    """The nodes that a node was fused from, or itself."""
    return node.op.nodes if isinstance(node.op, Fused) else (node,)


def expanded(graph: Graph) -> Graph:
    """The graph with the parts of its fused nodes."""
    inner = {name: t for node in graph.nodes if isinstance(node.op, Fused) for name, t in node.op.inner.items()}
    nodes = tuple(part for node in graph.nodes for part in part_nodes(node))
    return replace(graph, nodes=nodes, types=dict(graph.types) | inner)


@dataclass(frozen=True, eq=False)
class Cover:
    """Nodes [first, last) of an order of execution, all of which a kernel computes.

    Attributes:
        node: of the graph, or what became of several by `fused`.
    """

    first: int
    last: int
    node: Node
    kernel: Kernel

    @property
    def is_trivial(self) -> bool:
        """Whether it covers one node."""
        return self.last - self.first == 1


@dataclass(frozen=True, eq=False)
class Group:
    """Nodes that are worth to follow each other in the order of execution: a kernel computes all of them.

    Attributes:
        steps: ascending; others may be between them.
        node: what became of them by `fused`.
        kernels: for that, at least one.
    """

    steps: tuple[int, ...]
    node: Node
    kernels: Sequence[Kernel]


class Pattern(ABC):
    """Nodes that may be computed together.

    Attributes:
        gathers: whether the order of execution is chosen so that these nodes follow each other.
    """

    gathers: ClassVar[bool] = False

    def ends_in(self, op: type[Op]) -> bool:
        """Whether a match may end in such an operator: no others are asked for matches."""
        return True

    @abstractmethod
    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        """Ascending steps of the nodes of every match that ends in node `last`, two nodes at least."""

    @abstractmethod
    def fits(self, nodes: Sequence[Node]) -> bool:
        """Whether nodes that somebody's match found are also of this pattern."""


class Uses:
    """Who makes and who reads each value of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self._results = graph, frozenset(graph.results)
        self._producer = {name: step for step, node in enumerate(graph.nodes) for name in node.outputs}
        self._readers: dict[str, set[int]] = {}
        for step, node in enumerate(graph.nodes):
            for name in node.inputs:
                self._readers.setdefault(name, set()).add(step)

    def before(self, inside: Collection[int]) -> list[int]:
        """Nodes that make what some nodes read, and nothing that anybody else does or that is left in the end."""
        found = {self._producer.get(name, -1) for step in inside for name in self.graph.nodes[step].inputs}
        return sorted(step for step in found.difference(inside, [-1]) if self._is_for(step, inside))

    def made_for(self, name: str, *readers: int) -> int | None:
        """The node that makes a value which these nodes alone read, and which isn't left in the end."""
        step = self._producer.get(name)
        return step if step is not None and self._is_for(step, readers) else None

    def readers(self, name: str) -> Collection[int]:
        """The nodes that read a value."""
        return self._readers.get(name, set())

    def read(self, inside: Collection[int]) -> set[str]:
        """The values that some nodes read of others, or of the caller; constants aren't."""
        names = {name for step in inside for name in self.graph.nodes[step].inputs}
        return {n for n in names if n not in self.graph.constants and self._producer.get(n, -1) not in inside}

    def _is_for(self, step: int, inside: Collection[int]) -> bool:
        made = self.graph.nodes[step].outputs
        return self._results.isdisjoint(made) and all(self._readers.get(n, set()).issubset(inside) for n in made)


Kinds = type[Op] | tuple[type[Op], ...]


@cache
def _is_one_of(op: type[Op], kinds: Kinds) -> bool:
    """Whether an operator is of these classes; every pattern asks of every node, and abstract classes take long."""
    return issubclass(op, kinds)


class Chain(Pattern):
    """Operators of which each reads the one before it: `Chain(Conv2D, Add)`."""

    def __init__(self, *ops: Kinds) -> None:
        self._ops = ops

    def ends_in(self, op: type[Op]) -> bool:
        return _is_one_of(op, self._ops[-1])

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        yield from self._ending(uses, (last,))

    def _ending(self, uses: Uses, found: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        position = len(self._ops) - len(found)
        if not _is_one_of(type(uses.graph.nodes[found[0]].op), self._ops[position]):
            return
        if position == 0:
            yield found
            return
        for step in uses.before(found[:1]):
            yield from self._ending(uses, (step, *found))

    def fits(self, nodes: Sequence[Node]) -> bool:
        links = pairwise(nodes)
        return (
            len(nodes) == len(self._ops)
            and all(isinstance(node.op, op) for node, op in zip(nodes, self._ops, strict=True))
            and all(not set(before.outputs).isdisjoint(after.inputs) for before, after in links)
        )


class Sequel(Chain):
    """The same for operators whose results between them are worth never to be in memory: they are made to follow each
    other.
    """

    gathers = True


LONGEST = 16
"""Operators that are looked at together as a function of one value. Functions that files write out have fewer, and a
run of n operators has n * n / 2 parts.
"""


class OfOneValue(Pattern):
    """Up to `LONGEST` operators of some kinds that compute one result of one value and constants, however arranged."""

    def __init__(self, *ops: type[Op]) -> None:
        self._ops = ops

    def ends_in(self, op: type[Op]) -> bool:
        return _is_one_of(op, self._ops)

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        return (tuple(sorted(inside)) for inside in self.grown(uses, last) if len(inside) > 1)

    def grown(self, uses: Uses, last: int) -> Iterator[set[int]]:
        """The same, and the last node alone."""
        nodes, inside = uses.graph.nodes, {last}
        if not _is_one_of(type(nodes[last].op), self._ops):
            return
        if len(uses.read(inside)) == 1:
            yield set(inside)
        while before := [step for step in uses.before(inside) if _is_one_of(type(nodes[step].op), self._ops)]:
            if len(inside) == LONGEST:
                return
            inside.add(before[-1])
            if len(uses.read(inside)) == 1:
                yield set(inside)

    def fits(self, nodes: Sequence[Node]) -> bool:
        return all(isinstance(node.op, self._ops) for node in nodes)


class Then(Pattern):
    """An operator and a function of its result."""

    def __init__(self, first: Kinds, function: OfOneValue) -> None:
        self._first, self._function = first, function

    def ends_in(self, op: type[Op]) -> bool:
        return self._function.ends_in(op)

    def matches(self, uses: Uses, last: int) -> Iterator[tuple[int, ...]]:
        for inside in self._function.grown(uses, last):
            for step in uses.before(inside):
                made = uses.graph.nodes[step].outputs
                if isinstance(uses.graph.nodes[step].op, self._first) and uses.read(inside) == set(made):
                    yield (step, *sorted(inside))

    def fits(self, nodes: Sequence[Node]) -> bool:
        return len(nodes) > 1 and isinstance(nodes[0].op, self._first) and self._function.fits(nodes[1:])


_PATTERNS: list[Pattern] = []


def cover_for(
    *patterns: Pattern, dtype: DType = INT8, needs: Collection[str] = (), unless: Collection[str] = ()
) -> Callable[[Factory], Factory]:
    """Decorator: offer a factory for nodes that match one of these patterns.

    The factory is shown the `Fused` node; `parts_of` gives it the parts. Its function has the fused node's operands
    that aren't constant, in their order, then the results, constants and scratch.

    Args:
        dtype, needs, unless: as in `kernel_for`.
    """

    def register(factory: Factory) -> Factory:
        @wraps(factory)
        def fitting(site: Site, core: Core) -> Kernel | None:
            op = site.node.op
            fits = isinstance(op, Fused) and any(pattern.fits(op.nodes) for pattern in patterns)
            return factory(site, core) if fits else None

        _PATTERNS.extend(patterns)
        return kernel_for(Fused, dtype=dtype, needs=needs, unless=unless)(fitting)

    return register


@cache
def _ending_in(op: type[Op], patterns: tuple[Pattern, ...]) -> list[Pattern]:
    """Those of which a match may end in such an operator."""
    return [pattern for pattern in patterns if pattern.ends_in(op)]


def gatherable(graph: Graph) -> Iterator[tuple[int, ...]]:
    """Steps of every match of a pattern that `gathers`, whatever is between them; larger ones first.

    What is inside of a match is read inside alone, so that its nodes can be brought together where the last one is.
    """
    uses, found = Uses(graph), set[tuple[int, ...]]()
    for last, node in enumerate(graph.nodes):
        for pattern in _ending_in(type(node.op), tuple(_PATTERNS)):
            if pattern.gathers:
                found.update(pattern.matches(uses, last))
    yield from sorted(found, key=lambda steps: (-len(steps), steps))


def matches(graph: Graph) -> Iterator[tuple[int, Node]]:
    """(first step, fused node) of every match of a registered pattern whose nodes follow each other in the order.

    Others could be computed together as well, in another order; the planner's is the one that needs least memory.
    """
    uses, seen = Uses(graph), set[tuple[int, ...]]()
    for last, node in enumerate(graph.nodes):
        for pattern in _ending_in(type(node.op), tuple(_PATTERNS)):
            for steps in pattern.matches(uses, last):
                if steps not in seen and steps == tuple(range(steps[0], last + 1)):
                    seen.add(steps)
                    yield steps[0], fused(graph.nodes[steps[0] : last + 1], graph.types)
