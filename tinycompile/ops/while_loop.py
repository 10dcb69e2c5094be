"""A graph that is repeated as long as a condition holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from tinycompile.dtypes import DType
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Array, Graph, Op, Signature, TensorType
from tinycompile.ops._region import check_operands, is_condition, known_results, objection, results_of

MOST_TURNS = 1 << 16
"""That are followed when a model is compiled; on the device nothing limits them."""
_MOST_WORK = 1 << 26
"""Multiply-accumulates and elements that are worth computing to know how many turns there are."""


@dataclass(frozen=True)
class WhileLoop(Op):
    """Any operands. As long as a graph of them says so, another one computes the next values of the first of them; the
    others stay what they are. Static shapes; no states inside. What is carried from turn to turn is the result.

    Attributes:
        condition: a graph of all operands with one output, a single bool.
        body: a graph of all operands, whose outputs are the next values of as many operands, the first ones.
        turns: how many it has in every inference; None if that isn't known.
    """

    kind: ClassVar[str] = "while_loop"

    condition: Graph
    body: Graph
    turns: int | None = None

    @property
    def graphs(self) -> tuple[Graph, Graph]:
        return self.condition, self.body

    @property
    def carried(self) -> int:
        """How many operands change."""
        return len(self.body.outputs)

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_operands(self.condition, inputs, "the condition")
        check_operands(self.body, inputs, "the body")
        going = [self.condition.types[name] for name in self.condition.outputs]
        if len(going) != 1 or not is_condition(going[0]):
            raise ValueError(f"the condition is {', '.join(map(str, going))}, it has to be one bool")
        following = [self.body.types[name] for name in self.body.outputs]
        for before, after in zip(inputs, following, strict=False):
            if (before.shape, before.dtype) != (after.shape, after.dtype):
                raise ValueError(f"the body makes {after} of {before}")
        return tuple((t.shape, t.dtype) for t in inputs[: self.carried])

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """Raises UnsupportedError where it doesn't end."""
        values = tuple(inputs)
        for _ in range(MOST_TURNS):
            if not results_of(self.condition, values)[0].any():
                return values[: self.carried]
            values = (*results_of(self.body, values), *values[self.carried :])
        raise UnsupportedError([(self.kind, f"it has more than {MOST_TURNS:,} turns")])

    def macs(self, sig: Signature) -> int:
        """Of all turns; of one where their number isn't known."""
        turns = 1 if self.turns is None else self.turns
        return turns * self.body.macs() + (turns + 1) * self.condition.macs()

    def unsupported(self, sig: Signature) -> str | None:
        return objection(self.condition) or objection(self.body)


def _work(graph: Graph) -> int:
    """Of all nodes, whether what they read is known or not."""
    return graph.macs() + sum(graph.types[name].elements for node in graph.nodes for name in node.outputs)


def turns_of(condition: Graph, body: Graph, operands: Sequence[Array | None]) -> int | None:
    """How often the body is executed, if that follows from the operands that are known: a counter and its limit."""
    values, carried = tuple(operands), len(body.outputs)
    for turn in range(min(MOST_TURNS, 1 + _MOST_WORK // max(1, _work(condition) + _work(body)))):
        (going,) = known_results(condition, values)
        if going is None:
            return None
        if not going.any():
            return turn
        values = (*known_results(body, values), *values[carried:])
        if all(value is None for value in values[:carried]):
            return None
    return None
