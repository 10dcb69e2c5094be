"""The graph under construction, with unique names for values and nodes."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.ir import Array, Graph, Node, Op, Signature, Source, TensorType, free_name


class GraphBuilder:
    """Collects values and nodes; every name it gives out is unique."""

    def __init__(self) -> None:
        self.types: dict[str, TensorType] = {}
        self._nodes: list[Node] = []
        self._node_names: set[str] = set()
        self._constants: dict[str, Array] = {}
        self._sources: dict[str, Source] = {}

    def value(self, name: str, t: TensorType, source: Source | None = None, constant: Array | None = None) -> str:
        """Add a value; returns `name`, or a variation where that is taken."""
        name = free_name(name, self.types)
        self.types[name] = t
        if source is not None:
            self._sources[name] = source
        if constant is not None:
            self._constants[name] = constant
        return name

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes)

    def signature(self, inputs: Sequence[str], outputs: Sequence[str]) -> Signature:
        return Signature(tuple(self.types[name] for name in inputs), tuple(self.types[name] for name in outputs))

    def node(self, name: str, op: Op, inputs: Sequence[str], outputs: Sequence[str]) -> None:
        name = free_name(name, self._node_names)
        self._node_names.add(name)
        self._nodes.append(Node(name, op, tuple(inputs), tuple(outputs)))

    def constants_of(self, first: int) -> dict[str, Array]:
        """Constants, and what follows from them alone by the nodes from number `first` on."""
        known = dict(self._constants)
        for node in self._nodes[first:]:
            if all(name in known for name in node.inputs):
                operands = [known[name] for name in node.inputs]
                results = node.op.evaluate(self.signature(node.inputs, node.outputs), operands)
                known.update(zip(node.outputs, results, strict=True))
        return known

    def graph(self, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> Graph:
        return Graph(
            name, tuple(inputs), tuple(outputs), tuple(self._nodes), self.types, self._constants, self._sources
        )
