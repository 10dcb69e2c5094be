"""Decision trees over one row of float32 features, whatever words a model file has for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinycompile.ir import Array

Leaf = tuple[tuple[int, float], ...]
"""(target, weight), in the order in which they are added."""


@dataclass(frozen=True)
class Split:
    """An inner node: where a feature passes the test the way is `yes`.

    Attributes:
        threshold: a float32; never -0.0; NaN only if the test is ==.
        equal: the test is feature == threshold, else feature <= threshold; NaN passes neither.
        nan: NaN passes nevertheless.
        yes, no: the next node, or -1 - n for leaf n.
    """

    feature: int
    threshold: float
    equal: bool
    nan: bool
    yes: int
    no: int

    @property
    def never(self) -> bool:
        """Whether nothing passes."""
        return bool(np.isnan(self.threshold)) and not self.nan


@dataclass(frozen=True)
class Forest:
    """Trees whose nodes stand in preorder, `yes` first: children come behind their parents. A node may have several
    parents of its tree.

    Attributes:
        roots: of each tree, a node, or -1 - n for a tree that is only leaf n.
    """

    splits: tuple[Split, ...]
    leaves: tuple[Leaf, ...]
    roots: tuple[int, ...]

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """The largest number of tests on a way from each node on, its own included."""
        found = [0] * len(self.splits)
        for index in reversed(range(len(self.splits))):
            split = self.splits[index]
            found[index] = 1 + max(found[child] if child >= 0 else 0 for child in (split.yes, split.no))
        return tuple(found)

    @property
    def depth(self) -> int:
        """The largest number of tests in a tree."""
        return max((self.depths[root] for root in self.roots if root >= 0), default=0)

    @cached_property
    def expected_tests(self) -> float:
        """Tests of one execution if each outcome were as likely as the other; real features go deeper ways rarely."""
        found = [0.0] * len(self.splits)
        for index in reversed(range(len(self.splits))):
            split = self.splits[index]
            found[index] = 1 + sum(found[child] if child >= 0 else 0.0 for child in (split.yes, split.no)) / 2
        return sum(found[root] for root in self.roots if root >= 0)

    @cached_property
    def features(self) -> tuple[int, ...]:
        """Those that are looked at, in ascending order."""
        return tuple(sorted({split.feature for split in self.splits}))

    def reached(self, x: Array) -> Array:
        """The leaf of each tree for each row: int64 (rows, trees)."""
        if not self.splits:
            return np.broadcast_to(-1 - np.array(self.roots, np.int64), (len(x), len(self.roots)))
        columns = {
            name: np.array([getattr(split, name) for split in self.splits])
            for name in ("feature", "threshold", "equal", "nan", "yes", "no")
        }
        threshold = columns["threshold"].astype(np.float32)
        at = np.broadcast_to(np.array(self.roots, np.int64), (len(x), len(self.roots))).copy()
        while (inner := at >= 0).any():
            row, node = np.nonzero(inner)[0], at[inner]
            value, limit = x[row, columns["feature"][node]], threshold[node]
            passed = np.where(columns["equal"][node], value == limit, value <= limit)
            passed |= columns["nan"][node] & np.isnan(value)
            at[inner] = np.where(passed, columns["yes"][node], columns["no"][node])
        return -1 - at


@dataclass(frozen=True)
class Question:
    """A test as ONNX writes it.

    Attributes:
        mode: LEQ, LT, GTE, GT, EQ or NEQ.
        nan: whether NaN takes the way of what passes.
    """

    feature: int
    mode: str
    threshold: float
    nan: bool


def split_of(test: Question, yes: int, no: int) -> Split:
    """The same test as `Split` has it: float32 numbers are so many that x < t is x <= the one before t.

    Raises:
        ValueError: an unknown mode.
    """
    t = np.float32(test.threshold)
    if test.mode not in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        raise ValueError(f"nodes of mode {test.mode}")
    if test.mode in ("LT", "GTE"):
        t = np.nextafter(t, np.float32(-np.inf)) if t > -np.inf else np.float32(np.nan)
    equal, turned = test.mode in ("EQ", "NEQ"), test.mode in ("GTE", "GT", "NEQ")
    # NaN compares as false, but for NEQ. What is asked in the opposite way sends it the opposite way.
    passes = test.nan or test.mode == "NEQ"
    threshold = float(t + np.float32(0))  # -0.0 becomes 0.0
    equal = equal or bool(np.isnan(t))  # which nothing is, nor at most
    if turned:
        return Split(test.feature, threshold, equal, not passes, no, yes)
    return Split(test.feature, threshold, equal, passes, yes, no)


class ForestBuilder:
    """Trees from nodes with names of any kind."""

    def __init__(self) -> None:
        self._splits = list[Split | None]()
        self._leaves = dict[Leaf, int]()
        self._roots = list[int]()

    def add(
        self, root: int, tests: Sequence[Question | None], yes: Sequence[int], no: Sequence[int], leaves: Sequence[Leaf]
    ) -> None:
        """A tree.

        Args:
            root: its first node.
            tests: by node; None for a leaf.
            yes, no: children by node. leaves: what a leaf adds, by node.

        Raises:
            ValueError: a node is its own descendant, or has a mode that is unknown.
        """
        known, path = dict[int, int](), set[int]()
        pending = [(root, False)]
        while pending:
            node, done = pending.pop()
            test = tests[node]
            if test is None:
                known[node] = -1 - self._leaves.setdefault(leaves[node], len(self._leaves))
            elif done:
                path.discard(node)
                self._splits[known[node]] = split_of(test, known[yes[node]], known[no[node]])
            elif node in path:
                raise ValueError("a node is its own descendant")
            elif node not in known:
                known[node] = len(self._splits)
                self._splits.append(None)
                path.add(node)
                turned = test.mode in ("GTE", "GT", "NEQ")
                first, second = (no[node], yes[node]) if turned else (yes[node], no[node])
                pending += [(node, True), (second, False), (first, False)]
        self._roots.append(known[root])

    def forest(self) -> Forest:
        splits = tuple(split for split in self._splits if split is not None)
        return Forest(splits, tuple(self._leaves), tuple(self._roots))
