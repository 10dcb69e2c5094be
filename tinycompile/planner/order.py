"""The order of execution that needs least memory: dynamic programming over the sets of executed nodes.

What is live follows from the set of executed nodes alone, and so does what every next node needs. Sets of equal size
form a layer. Sets that can't beat the best order known are dropped, and a node that costs no memory is executed at
once. The result is proved best unless a layer had to be cut. A node's need is the lower bound of `Values.need`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tinycompile.ir import Graph, Node
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Group, contracted
from tinycompile.planner.problem import whole_units
from tinycompile.planner.values import Options, Values, saving

EFFORT = 10_000
"""Sets examined altogether, about."""


@dataclass(frozen=True)
class Ordered:
    """An order as indices of nodes, the bytes that it needs at least, and whether no other order needs less."""

    order: tuple[int, ...]
    peak: int
    optimal: bool


@dataclass(frozen=True)
class _State:
    """A set of executed nodes (a bit mask), what is live after them, and the best way there."""

    executed: int
    live: frozenset[str]
    ready: frozenset[int]
    peak: int
    step: int = -1
    before: _State | None = None

    def order(self) -> tuple[int, ...]:
        found, state = list[int](), self
        while state.before is not None:
            found.append(state.step)
            state = state.before
        return tuple(reversed(found))


def reordered(graph: Graph, candidates: Options, groups: Sequence[Group] = ()) -> tuple[Graph, Options, bool]:
    """Graph and kernels in the order that needs least, and whether that is proved.

    Args:
        groups: nodes that follow each other in it, each node in one of them at most.
    """
    try:
        return _reordered(graph, candidates, groups)
    except NoOrderError:  # a group's nodes can't follow each other: what one reads, others write before another one
        return _reordered(graph, candidates, ())


class NoOrderError(Exception):
    """Some nodes each have to come before the other."""


def _reordered(graph: Graph, candidates: Options, groups: Sequence[Group]) -> tuple[Graph, Options, bool]:
    ends = {group.steps[-1]: group for group in groups}
    grouped = {step for group in groups for step in group.steps}
    units = [ends[step].steps if step in ends else (step,) for step in _left(graph, grouped - ends.keys())]
    nodes = [ends[unit[-1]].node if unit[-1] in ends else graph.nodes[unit[0]] for unit in units]
    kernels = [ends[unit[-1]].kernels if unit[-1] in ends else candidates[unit[0]] for unit in units]
    order, optimal = tuple(range(len(nodes))), True
    if graph.states or not _is_chain(nodes):
        found = best_order(Values(contracted(graph, nodes), kernels))
        order, optimal = found.order, found.optimal
    steps = [step for unit in order for step in units[unit]]
    if steps == list(range(len(steps))):
        return graph, candidates, optimal
    return replace(graph, nodes=tuple(graph.nodes[s] for s in steps)), [candidates[s] for s in steps], optimal


def _is_chain(nodes: Sequence[Node]) -> bool:
    """Whether each node reads what the one before it makes: then there is one order."""
    return all(not set(before.outputs).isdisjoint(after.inputs) for before, after in pairwise(nodes))


def _left(graph: Graph, without: Collection[int]) -> list[int]:
    return [step for step in range(len(graph.nodes)) if step not in without]


def best_order(values: Values) -> Ordered:
    """The order with the smallest peak; where none is better, the given one, or the nearest to it in which what was in
    a state is read before it is written.

    Raises:
        NoOrderError: there is none.
    """
    search = _Search(values)
    start = search.start()
    given = search.nearest(start)
    bound = search.unavoidable()
    if given.peak <= bound:
        return Ordered(given.order(), given.peak, True)
    better, exact = search.below(start, given.peak, bound)
    best = better or given
    return Ordered(best.order(), best.peak, exact or best.peak <= bound)


@dataclass(frozen=True)
class _Extra:
    """What a kernel adds to the buffers in use: its scratch, less what its output shares with operands that die.

    Attributes:
        shares: (operand's buffer, bytes). most: that can be shared altogether.
    """

    scratch: int
    shares: tuple[tuple[str, int], ...] = ()
    most: int = 0

    def bytes(self, dying: frozenset[str]) -> int:
        if not self.shares:
            return self.scratch
        return self.scratch - min(self.most, sum(share for name, share in self.shares if name in dying))


class _Search:
    """Works on buffers: values that share storage are one."""

    def __init__(self, values: Values) -> None:
        graph = values.graph
        self.count = len(graph.nodes)
        self._size = {buffer.name: buffer.size for buffer in values.buffers}

        def buffers(names: tuple[str, ...]) -> list[str]:
            return [values.place(n)[0] for n in names if values.is_in_ram(n) and values.place(n)[0] in self._size]

        self._reads = [frozenset(buffers(node.inputs)) for node in graph.nodes]
        self._writes = [frozenset(buffers(node.outputs)) - self._reads[i] for i, node in enumerate(graph.nodes)]
        self._inputs, self._outputs = frozenset(buffers(graph.inputs)), frozenset(buffers(graph.outputs))
        writer = {name: i for i, node in enumerate(graph.nodes) for name in node.outputs}
        self._after = [{writer[name] for name in node.inputs if name in writer} for node in graph.nodes]
        for step, readers in values.writers():
            self._after[step] |= readers
        self._followers: list[list[int]] = [[] for _ in graph.nodes]
        self._readers: dict[str, int] = {}
        for step, earlier in enumerate(self._after):
            for other in earlier:
                self._followers[other].append(step)
            for name in self._reads[step]:
                self._readers[name] = self._readers.get(name, 0) | 1 << step
        self._preceding = [sum(1 << other for other in earlier) for earlier in self._after]
        self._extras = [self._extras_of(values, step) for step in range(self.count)]

    def start(self) -> _State:
        return _State(0, self._inputs, frozenset(s for s in range(self.count) if not self._after[s]), 0)

    def execute(self, state: _State, step: int) -> _State:
        executed = state.executed | 1 << step
        dying = self._dying(step, ~executed)
        live = state.live | self._writes[step]
        peak = max(state.peak, self._occupied(live) + self._own(step, dying))
        unread = (n for n in self._writes[step] if n not in self._outputs and n not in self._readers)
        ready = {f for f in self._followers[step] if self._preceding[f] & ~executed == 0}
        return _State(executed, live - dying - set(unread), (state.ready - {step}) | ready, peak, step, state)

    def nearest(self, state: _State) -> _State:
        """The end of the order that executes the first node that may be, again and again."""
        for _ in range(self.count):
            if not state.ready:
                raise NoOrderError
            state = self.execute(state, min(state.ready))
        return state

    def below(self, start: _State, best: int, bound: int) -> tuple[_State | None, bool]:
        """(the best end whose peak is below `best`, whether nothing was cut)."""
        layer, exact = [start], True
        width = max(1, EFFORT // self.count)
        for _ in range(self.count):
            following: dict[int, _State] = {}
            for state in layer:
                for successor in self._successors(state, bound):
                    known = following.get(successor.executed)
                    if successor.peak < best and (known is None or successor.peak < known.peak):
                        following[successor.executed] = successor
            layer = sorted(following.values(), key=lambda s: (s.peak, self._occupied(s.live), s.executed))
            exact, layer = exact and len(layer) <= width, layer[:width]
        return (layer[0] if layer else None), exact

    def unavoidable(self) -> int:
        """The largest need of a node when only its own operands and results are live and every operand dies."""
        return max(
            (
                self._occupied(self._reads[step] | self._writes[step])
                + self._own(step, self._reads[step] - self._outputs)
                for step in range(self.count)
            ),
            default=0,
        )

    def _successors(self, state: _State, bound: int) -> Iterator[_State]:
        """Every next node, or a single one that loses nothing.

        If a node leaves no more memory in use than it found and needs no more than the peak, which can't be lower than
        `bound`, every order that executes it later can execute it now: what comes between finds no more in use.
        """
        successors = [self.execute(state, step) for step in sorted(state.ready)]
        occupied = self._occupied(state.live)
        for successor in successors:
            if successor.peak <= max(state.peak, bound) and self._occupied(successor.live) <= occupied:
                return iter((successor,))
        return iter(successors)

    def _dying(self, step: int, later: int) -> frozenset[str]:
        """What the node reads as the last one, if those of the mask `later` follow."""
        return frozenset(
            name for name in self._reads[step] - self._outputs if self._readers[name] & later & ~(1 << step) == 0
        )

    def _occupied(self, names: frozenset[str]) -> int:
        return sum(self._size[name] for name in names)

    def _own(self, step: int, dying: frozenset[str]) -> int:
        """The least that scratch adds and shared memory saves, over the node's kernels."""
        return min(extra.bytes(dying) for extra in self._extras[step])

    def _extras_of(self, values: Values, step: int) -> list[_Extra]:
        """Of a node's kernels; those that are alike once."""
        operands = [values.place(n) if values.is_in_ram(n) else None for n in values.graph.nodes[step].inputs]
        names = [place[0] if place and place[1] == 0 else None for place in operands]
        found = (self._extra(step, names, kernel) for kernel in values.options[step])
        return list(dict.fromkeys(found))

    def _extra(self, step: int, names: Sequence[str | None], kernel: Kernel) -> _Extra:
        """Args:
        names: of the buffers that are the operands; None for what is a piece of one, or in none.
        """
        scratch, written = whole_units(kernel.scratch_bytes), self._writes[step]
        if not written:
            return _Extra(scratch)
        lower = max(self._size[name] for name in written)
        if kernel.parts:
            joined = (names[operand] for operand in kernel.parts)
            return _Extra(scratch - min(lower, sum(self._size.get(name, 0) for name in joined if name is not None)))
        shares = tuple(
            (name, share)
            for operand, distance in kernel.distances.items()
            if (name := names[operand]) in self._size
            and names.count(name) == 1
            and (share := saving(self._size[name], lower, whole_units(distance)))
        )
        return _Extra(scratch, shares, lower)
