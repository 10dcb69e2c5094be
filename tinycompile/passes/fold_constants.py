"""Nodes that read constants only are computed now."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.errors import UnsupportedError
from tinycompile.ir import Graph, Node
from tinycompile.ops.while_loop import WhileLoop

MAX_WORK = 1 << 28
"""Multiply-accumulates, or elements, that are worth computing here."""


def fold_constants(graph: Graph) -> Graph:
    """Every node without an operand from RAM becomes a constant, by the operator's own meaning; a model output, too,
    and a state that stays what it is. Loops of which nobody knows whether they end are left to the device.

    Raises:
        UnsupportedError: it would take too much work.
    """
    constants, kept = dict(graph.constants), list[Node]()
    moving = tuple(state for state in graph.states if state.next != state.name)
    constants.update((state.name, state.initial) for state in graph.states if state not in moving)
    for node in graph.nodes:
        endless = isinstance(node.op, WhileLoop) and node.op.turns is None
        if not node.inputs or endless or any(name not in constants for name in node.inputs):
            kept.append(node)
            continue
        _check(graph, node)
        results = node.op.evaluate(graph.signature(node), [constants[name] for name in node.inputs])
        constants.update(zip(node.outputs, results, strict=True))
    if len(constants) == len(graph.constants):
        return graph
    return replace(graph, nodes=tuple(kept), constants=constants, states=moving).without_dead()


def _check(graph: Graph, node: Node) -> None:
    sig = graph.signature(node)
    if max(node.op.macs(sig), *(t.elements for t in (*sig.inputs, *sig.outputs))) > MAX_WORK:
        raise UnsupportedError(
            [(f"{node.op.kind} {node.name!r}", "a constant that takes too much work to compute")], where=graph.name
        )
