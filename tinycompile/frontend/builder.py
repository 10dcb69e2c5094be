"""The graph under construction, with unique names for values and nodes."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.ir import (
    MAX_RAM_BYTES,
    Array,
    Graph,
    ImpossibleSizeError,
    Node,
    Op,
    Signature,
    Source,
    TensorType,
    bounded,
    free_name,
)


class GraphBuilder:
    """Collects values and nodes; every name it gives out is unique."""

    def __init__(self) -> None:
        self.types: dict[str, TensorType] = {}
        self._nodes: list[Node] = []
        self._node_names: set[str] = set()
        self._constants: dict[str, Array] = {}
        self._sources: dict[str, Source] = {}

    def value(self, name: str, t: TensorType, source: Source | None = None, constant: Array | None = None) -> str:
        """Add a value; returns `name`, or a variation where that is taken.

        Raises:
            ImpossibleSizeError: it isn't a constant, and larger than what is in RAM.
        """
        if constant is None:
            _check(name, t)
        name = free_name(name, self.types)
        self.types[name] = t
        if source is not None:
            self._sources[name] = source
        if constant is not None:
            self._constants[name] = constant
        return name

    def retype(self, name: str, t: TensorType) -> None:
        """A value that isn't constant is of this type, whatever it seemed to be. Raises ImpossibleSizeError."""
        _check(name, t)
        self.types[name] = t

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


def results_of(op: Op, operands: Sequence[TensorType]) -> tuple[TensorType, ...]:
    """What an operator makes of its operands, without quantisation.

    Raises:
        ValueError: they contradict each other. ImpossibleSizeError, which is one: nothing holds the result, or there is
            nothing to hold.
    """
    empty = next((t for t in operands if 0 in t.shape), None)
    if empty is not None:
        raise ImpossibleSizeError(f"an operand is {empty}, which has no elements")
    found = op.infer(operands)
    for shape, dtype in found:
        bounded(shape, dtype.bits, MAX_RAM_BYTES)
        if 0 in shape:
            raise ImpossibleSizeError(f"the result is {TensorType(shape, dtype)}, which has no elements")
    return tuple(TensorType(shape, dtype) for shape, dtype in found)


def _check(name: str, t: TensorType) -> None:
    if t.bytes > MAX_RAM_BYTES:
        raise ImpossibleSizeError(f"{name!r} is {t}: {t.bytes:,} bytes, supported are {MAX_RAM_BYTES:,}")
