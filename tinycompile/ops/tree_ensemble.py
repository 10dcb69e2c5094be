"""Decision trees whose leaves are added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._forest import Forest
from tinycompile.ops._rules import first_reason, wrong_dtype

Aggregate = Literal["sum", "average", "min", "max"]


@dataclass(frozen=True)
class TreeEnsemble(Op):
    """float32 features through decision trees: for each target the sum of the leaves' weights in float32, tree after
    tree as onnxruntime adds them, their mean, the smallest or the largest. Tests are <= or ==; NaN goes either way.

    Attributes:
        forest: the trees, whose leaves have weights for some of the targets.
        targets: how many.
        base: what is added at last, for each target; empty for nothing.
        marked: where no leaf had a weight for a target it is -0.0, which no sum is (`class_scores` asks); else 0.0.
    """

    kind: ClassVar[str] = "tree_ensemble"

    forest: Forest = field(repr=False)
    targets: int
    aggregate: Aggregate = "sum"
    base: tuple[float, ...] = ()
    marked: bool = False

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        (x,) = inputs
        ends = self.forest.features[:1] + self.forest.features[-1:]
        if not x.shape or any(not 0 <= feature < x.shape[-1] for feature in ends):
            raise ValueError(f"features {list(ends)} of {x}")
        if self.targets < 1 or any(not 0 <= t < self.targets for leaf in self.forest.leaves for t, _ in leaf):
            raise ValueError(f"a leaf for another than {self.targets} targets")
        if len(self.base) not in (0, self.targets):
            raise ValueError(f"{len(self.base)} base values for {self.targets} targets")
        return (((*x.shape[:-1], self.targets), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x = inputs[0].reshape(-1, sig.input.shape[-1])
        found = np.full((len(x), self.targets), -0.0 if self.marked else 0.0, np.float32)
        seen, rows = np.zeros(found.shape, bool), self._rows()
        with np.errstate(all="ignore"):
            for leaves in self.forest.reached(x).T:
                for weights, present in rows:
                    added, given = weights[leaves], present[leaves]
                    found = np.where(given, self._added(found, added, seen), found)
                    seen |= given
            if self.aggregate == "average":
                found = found / np.float32(len(self.forest.roots))
            if self.base:
                found = found + np.array(self.base, np.float32)
        return (found.reshape(sig.output.shape),)

    def _added(self, found: Array, weights: Array, seen: Array) -> Array:
        match self.aggregate:
            case "min":
                return np.where(~seen | (weights < found), weights, found)
            case "max":
                return np.where(~seen | (weights > found), weights, found)
            case _:
                return found + weights

    def _rows(self) -> list[tuple[Array, Array]]:
        """Weights and whether there are any, (leaves, targets); more than once where a leaf names a target again."""
        rows = list[tuple[Array, Array]]()
        shape = len(self.forest.leaves), self.targets
        for number, leaf in enumerate(self.forest.leaves):
            times = [0] * self.targets
            for target, weight in leaf:
                if times[target] == len(rows):
                    rows.append((np.zeros(shape, np.float32), np.zeros(shape, bool)))
                weights, present = rows[times[target]]
                weights[number, target], present[number, target] = weight, True
                times[target] += 1
        return rows

    def unsupported(self, sig: Signature) -> str | None:
        return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in (sig.input, sig.output))
