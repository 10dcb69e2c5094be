"""One of two graphs, by a condition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.ir import Array, Graph, Op, Signature, TensorType
from tinycompile.ops._region import check_operands, is_condition, objection, results_of


@dataclass(frozen=True)
class Conditional(Op):
    """A single bool, then any operands: the first of two graphs where it is true, else the second. Static shapes; no
    states inside. Only what is chosen is computed.

    Attributes:
        then, otherwise: graphs without states, whose inputs are the operands after the condition, all of both, and
            whose outputs, of the same types, are the results.
    """

    kind: ClassVar[str] = "conditional"

    then: Graph
    otherwise: Graph

    @property
    def graphs(self) -> tuple[Graph, Graph]:
        return self.then, self.otherwise

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        if not inputs or not is_condition(inputs[0]):
            raise ValueError(f"the condition is {inputs[0] if inputs else 'missing'}, it has to be one bool")
        found = list[list[tuple[tuple[int, ...], DType]]]()
        for graph in self.graphs:
            check_operands(graph, inputs[1:], "a branch")
            results = [graph.types[name] for name in graph.outputs]
            found.append([(t.shape, t.dtype) for t in results])
        if found[0] != found[1]:
            raise ValueError("its branches have different results")
        return tuple(found[0])

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return results_of(self.then if inputs[0].any() else self.otherwise, inputs[1:])

    def macs(self, sig: Signature) -> int:
        """Of the branch that has more."""
        return max(graph.macs() for graph in self.graphs)

    def unsupported(self, sig: Signature) -> str | None:
        return objection(self.then) or objection(self.otherwise)
