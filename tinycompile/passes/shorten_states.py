"""A state is kept as what is computed of it first, where this only takes back what made its next value last.

Models whose states are inputs and outputs have them as floats with channels first: QuantizeLinear and transposition at
the beginning of a step undo DequantizeLinear and transposition at the end of the one before.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tinycompile.ir import Graph, Node, State, free_name
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.transpose import Transpose


def shorten_states(graph: Graph) -> Graph:
    """Without pairs of nodes whose result is the operand of the first: one at the end of a step, one at the beginning
    of the next.
    """
    for position in range(len(graph.states)):
        while (shorter := _shortened(graph, position) or _shortened_after_moving(graph, position)) is not None:
            graph = shorter
    return graph


def _shortened_after_moving(graph: Graph, position: int) -> Graph | None:
    """The same where integers become floats before they are moved, by moving the integers; what they became is the
    last node then.
    """
    state, producers = graph.states[position], graph.producers()
    mover = producers.get(state.next)
    source = None if mover is None or not isinstance(mover.op, (Transpose, Reshape)) else producers.get(mover.inputs[0])
    if mover is None or source is None or not isinstance(source.op, Dequantize):
        return None
    t, types = graph.types[source.inputs[0]], dict(graph.types)
    moved, floats = (free_name(f"{state.next}_{suffix}", types) for suffix in ("moved", "real"))
    types[moved], types[floats] = replace(t, shape=types[state.next].shape), types[state.next]
    nodes = (
        *graph.nodes,
        Node(moved, mover.op, source.inputs, (moved,)),
        Node(floats, source.op, (moved,), (floats,)),
    )
    states = list(graph.states)
    states[position] = replace(state, next=floats)
    return _shortened(replace(graph, nodes=nodes, types=types, states=tuple(states)), position)


def _shortened(graph: Graph, position: int) -> Graph | None:
    """With the value before the last node as the next value of the state at `position`; None where all is needed."""
    state = graph.states[position]
    last, readers = graph.producers().get(state.next), graph.consumers().get(state.name, [])
    if last is None or not readers or state.name in graph.results:
        return None
    if len(last.inputs) != 1 or not all(_takes_back(graph, last, reader) for reader in readers):
        return None
    first = readers[0]
    kept, merged = first.outputs[0], {reader.outputs[0] for reader in readers}
    (initial,) = first.op.evaluate(graph.signature(first), [state.initial])
    states = list(graph.states)
    states[position] = State(kept, initial, last.inputs[0])

    def renamed(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(kept if name in merged else name for name in names)

    nodes = [replace(n, inputs=renamed(n.inputs)) for n in graph.nodes if n not in readers]
    return replace(
        graph,
        nodes=tuple(nodes),
        outputs=renamed(graph.outputs),
        states=tuple(replace(each, next=renamed((each.next,))[0]) for each in states),
    ).without_dead()


def _takes_back(graph: Graph, last: Node, reader: Node) -> bool:
    """Whether `reader` makes of the result of `last` what its operand was, whatever that is."""
    before, after = graph.types[last.inputs[0]], graph.types[reader.outputs[0]]
    if len(reader.inputs) != 1 or (before.shape, before.dtype) != (after.shape, after.dtype):
        return False
    match last.op, reader.op:
        case Dequantize(), Quantize():
            # A number has at most 17 bits: float32 products and quotients of normal numbers give it back.
            normal = float(np.finfo(np.float32).tiny) <= before.scale <= 2.0**100
            return normal and before.quant is not None and before.quant.same_as(after.quant)
        case Transpose(), Transpose():
            return tuple(last.op.permutation[axis] for axis in reader.op.permutation) == tuple(range(len(before.shape)))
        case Reshape(), Reshape():
            return True
        case _:
            return False
