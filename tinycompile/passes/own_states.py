"""Every state's next value is written straight into the state's memory, once nobody needs the old value any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tinycompile.ir import Graph, Node, State, free_name
from tinycompile.ops.identity import Identity
from tinycompile.ops.reshape import Reshape

if TYPE_CHECKING:
    import networkx as nx


def own_states(graph: Graph) -> Graph:
    """Nodes in an order in which a state's memory is written after the last reading, and copies where there is none.

    What comes after may take for granted: each state's `next` is no output, and the result of a node that has no other
    one, or that says that it may be there (`Op.updates`); every node that reads the state comes before that node. So
    both can be one piece of memory. A node that reads the state itself can't write it unless it says so: its kernels
    need not be in place. A state that stays as it is has no such node; its memory is for the caller to write.
    """
    if not graph.states:
        return graph
    graph = _own_outputs(graph, [state.name for state in graph.states])
    for position, state in enumerate(graph.states):
        if state.next == state.name:
            continue
        direct, copied = _settled(graph, position), _settled(_copied(graph, position), position)
        # Two states that swap wait for each other's reader, unless one's value is put aside first.
        found = direct or copied or _settled(_copied(_copied(graph, position), position), position)
        if found is None:
            raise ValueError(f"state {state.name!r} can't be written")
        graph = found
    graph = _own_outputs(graph, [state.next for state in graph.states])
    return _Dependencies.of(graph, len(graph.states)).ordered()


@dataclass(frozen=True)
class _Dependencies:
    """Which node must come before which: a value's producer before its readers, a state's readers before its writer."""

    graph: Graph
    edges: nx.DiGraph[int]

    @staticmethod
    def of(graph: Graph, settled: int) -> _Dependencies:
        """`settled`: of so many states the writers are known."""
        import networkx as nx

        edges = nx.DiGraph[int]() if TYPE_CHECKING else nx.DiGraph()
        edges.add_nodes_from(range(len(graph.nodes)))
        writer = {name: step for step, node in enumerate(graph.nodes) for name in node.outputs}
        for step, node in enumerate(graph.nodes):
            edges.add_edges_from((writer[name], step) for name in node.inputs if name in writer)
        for state in graph.states[:settled]:
            if state.next == state.name:
                continue
            last = writer[state.next]
            own = _updates(graph, graph.nodes[last], state)
            edges.add_edges_from((s, last) for s in _readers(graph, state.name) if not (own and s == last))
        return _Dependencies(graph, edges)

    def has_order(self) -> bool:
        import networkx as nx

        return nx.is_directed_acyclic_graph(self.edges)

    def ordered(self) -> Graph:
        """The nodes in the order closest to the present one."""
        import networkx as nx

        order = nx.lexicographical_topological_sort(self.edges)
        return replace(self.graph, nodes=tuple(self.graph.nodes[step] for step in order))


def _settled(graph: Graph, position: int) -> Graph | None:
    """The graph, if the node that computes the next value of the state at `position` can write the state's memory."""
    state = graph.states[position]
    node = graph.producers().get(state.next)
    if node is None or isinstance(node.op, Reshape) or graph.results.count(state.next) > 1:
        return None
    if len(node.outputs) > 1 and not _updates(graph, node, state):
        return None
    return graph if _Dependencies.of(graph, position + 1).has_order() else None


def _updates(graph: Graph, node: Node, state: State) -> bool:
    """Whether a node makes the next value of a state where the old one is, which it alone reads, once."""
    operand = node.op.updates.get(node.outputs.index(state.next))
    if operand is None or node.inputs[operand] != state.name:
        return False
    return not _shapes(graph, state.name).intersection(n for i, n in enumerate(node.inputs) if i != operand)


def _copied(graph: Graph, position: int) -> Graph:
    """The next value of the state at `position` as a copy."""
    state = graph.states[position]
    graph, copy = _with_copy(graph, state.next, f"{state.name}_next")
    states = list(graph.states)
    states[position] = State(state.name, state.initial, copy)
    return replace(graph, states=tuple(states))


def _own_outputs(graph: Graph, values: Sequence[str]) -> Graph:
    """Outputs that are one of the values, or it in another shape, get a copy: a state's memory is nobody else's."""
    shared = {name for value in values for name in _shapes(graph, value)}
    outputs = list[str]()
    for name in graph.outputs:
        if name in shared:
            graph, name = _with_copy(graph, name, f"{name}_output")
        outputs.append(name)
    return replace(graph, outputs=tuple(outputs))


def _shapes(graph: Graph, name: str) -> set[str]:
    """A value and what is the same memory, seen as another shape."""
    found = {name}
    for node in graph.nodes:
        if isinstance(node.op, Reshape) and node.inputs[0] in found:
            found.update(node.outputs)
    return found


def _readers(graph: Graph, name: str) -> list[int]:
    shapes = _shapes(graph, name)
    return [step for step, node in enumerate(graph.nodes) if not shapes.isdisjoint(node.inputs)]


def _with_copy(graph: Graph, name: str, wanted: str) -> tuple[Graph, str]:
    """The graph with a copy of a value at its end, and the copy's name."""
    types = dict(graph.types)
    copy = free_name(wanted, types)
    types[copy] = types[name]
    node = Node(free_name(copy, {node.name for node in graph.nodes}), Identity(), (name,), (copy,))
    return replace(graph, nodes=(*graph.nodes, node), types=types), copy
