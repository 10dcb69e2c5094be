"""A state that is the last rows of itself and what is new behind it: rows that move on in memory of their own.

Attention that is given past keys joins them with new ones (`Concatenation`) and reads them all; of these the last ones
are kept. With one more row than is kept, the state is what attention reads, and nothing is copied to and fro.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.ir import Graph, Node, State, free_name
from tinycompile.ops.concatenation import Concatenation
from tinycompile.ops.delay_line import DelayLine
from tinycompile.ops.slice import Slice
from tinycompile.ops.take import Take


def roll_states(graph: Graph) -> Graph:
    """Every such state has the joined rows' shape, and a `DelayLine` in place of the concatenation."""
    whole = graph
    for position in range(len(graph.states)):
        graph = _rolled(graph, position) or graph
    return graph if graph is whole else graph.without_dead()


def _rolled(graph: Graph, position: int) -> Graph | None:
    """With the state at `position` as a line; None where it is something else."""
    state, producers, consumers = graph.states[position], graph.producers(), graph.consumers()
    last = producers.get(state.next)
    joined = None if last is None else producers.get(last.inputs[0])
    if last is None or joined is None or not isinstance(joined.op, Concatenation):
        return None
    alone = consumers.get(state.name) == [joined] and state.name not in graph.results
    if not alone or len(joined.inputs) != 2 or joined.inputs[0] != state.name or joined.inputs[1] == state.name:
        return None
    axis, before, rows = joined.op.axis, graph.types[joined.outputs[0]], graph.types[joined.inputs[1]]
    new = rows.shape[axis]
    if not _takes_the_last(graph, last, axis, new):
        return None
    types = dict(graph.types)
    line = free_name(f"{state.name}_line", types)
    types[line] = before
    # The first rows leave it before anybody reads them.
    leaving = np.zeros((*state.initial.shape[:axis], new, *state.initial.shape[axis + 1 :]), state.initial.dtype)
    moved = Node(joined.name, DelayLine(axis, 0, new), (line, joined.inputs[1]), joined.outputs)
    states = list(graph.states)
    states[position] = State(line, np.concatenate([leaving, state.initial], axis), joined.outputs[0])
    nodes = tuple(moved if node is joined else node for node in graph.nodes)
    return replace(graph, nodes=nodes, types=types, states=tuple(states))


def _takes_the_last(graph: Graph, node: Node, axis: int, first: int) -> bool:
    """Whether its result is its operand from an index along an axis on."""
    if not isinstance(node.op, Slice | Take):
        return False
    shape = graph.types[node.inputs[0]].shape
    numbers = np.arange(prod(shape)).reshape(shape)
    (taken,) = node.op.evaluate(graph.signature(node), [numbers])
    return np.array_equal(taken, np.take(numbers, range(first, shape[axis]), axis))
