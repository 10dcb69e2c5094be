"""Thresholds of decision trees: in comparisons, or in a table, where two that are often asked for after one another are
loaded together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tinycompile.kernels.base import Constant
from tinycompile.ops._forest import Forest, Split

NEAR_WORDS, NEAR_PAIRS = 1024, 128
"""What loads reach from a base: words by 12 bits of bytes, pairs of words by 8 bits of words."""


MOST_SHARED = 4
"""Tests by the same threshold, in the mean, up to which there are pairs: a word is in a pair once for each neighbour,
and the table, and code that reaches it, becomes larger by more than pairs save."""


@dataclass
class _Window:
    """What one base reaches: pairs, then single words, by their bits, at places of their kind."""

    pairs: dict[tuple[int, int], int] = field(default_factory=dict[tuple[int, int], int])
    singles: dict[int, int] = field(default_factory=dict[int, int])
    start: int = 0

    def fits(self, pairs: set[tuple[int, int]], singles: set[int]) -> bool:
        both = len(self.pairs.keys() | pairs)
        return both <= NEAR_PAIRS and 2 * both + len(self.singles.keys() | singles) <= NEAR_WORDS

    def add(self, pairs: set[tuple[int, int]], singles: set[int]) -> None:
        for pair in sorted(pairs - self.pairs.keys()):
            self.pairs[pair] = len(self.pairs)
        for single in sorted(singles - self.singles.keys()):
            self.singles[single] = len(self.singles)

    @property
    def words(self) -> list[int]:
        """An even number of them."""
        found = [*(bits for pair in self.pairs for bits in pair), *self.singles]
        return [*found, *[0] * (len(found) % 2)]


class Limits:
    """Where trees' thresholds are: in comparisons that have room for them, else in one table, which costs a load, as a
    constant in the code would, but none of the instructions by which compilers make one constant of another.

    Attributes:
        constants: the table, if any.
    """

    def __init__(self, forest: Forest, used: bool) -> None:
        """Args: used: whether there is a table, if any threshold wants it."""
        self._forest = forest
        self._windows = list[_Window]()
        self._window_of = list[_Window]()
        self._seconds = list[dict[int, int]]()
        far = [_bits(split) for split in forest.splits if _is_far(split)]
        self._pairs = len(far) <= MOST_SHARED * len(set(far))
        for root in forest.roots if used else ():
            self._place(root)
        words = list[int]()
        for window in self._windows:
            window.start = len(words) // 2
            words += window.words
        table = np.array(words, np.uint64)
        values = table[0::2] | table[1::2] << np.uint64(32)
        self.constants = (Constant("limits", "uint64_t", values, "bits of thresholds"),) if words else ()

    def _place(self, root: int) -> None:
        parents = parents_of(self._forest, root)
        nodes = sorted(node for node in parents if node >= 0)
        seconds = _likely_pairs(self._forest, nodes, parents) if self._pairs else dict[int, int]()
        pairs = {(self._bits(first), self._bits(second)) for first, second in seconds.items()}
        paired = seconds.keys() | set(seconds.values())
        far = [node for node in nodes if _is_far(self._forest.splits[node])]
        singles = {self._bits(node) for node in far if node not in paired}
        if not self._windows or not self._windows[-1].fits(pairs, singles):
            self._windows.append(_Window())
        self._windows[-1].add(pairs, singles)
        self._window_of.append(self._windows[-1])
        self._seconds.append(seconds)

    def _bits(self, node: int) -> int:
        return _bits(self._forest.splits[node])

    def base(self, tree: int) -> str:
        """Of the thresholds of a tree, in C."""
        start = self._window_of[tree].start
        return f"limits + {start}" if start else "limits"

    def threshold(self, tree: int, node: int, parent: int) -> str:
        """The bits of a node's threshold, in C, where the test before it was `parent`'s."""
        split = self._forest.splits[node]
        if not self._windows or not _is_far(split):
            return f"0x{_bits(split):08x}u"
        window, seconds = self._window_of[tree], self._seconds[tree]
        if seconds.get(parent) == node:
            return "second"
        if node in seconds:
            place = window.pairs[self._bits(node), self._bits(seconds[node])]
            return f"tc_two_limits(limits, {place}, &second)"
        return f"tc_limit(limits, {2 * len(window.pairs) + window.singles[self._bits(node)]})"


def _likely_pairs(forest: Forest, nodes: Sequence[int], parents: Counter[int]) -> dict[int, int]:
    """By node the one of its children that has the larger part of its leaves, if both thresholds are in the table: no
    more of them than a load reaches, those that are likeliest to be asked for. Leaves stand for training data.

    Args:
        nodes: of a tree, children behind their parents.
    """
    leaves = dict[int, int]()
    for node in reversed(nodes):
        leaves[node] = sum(leaves.get(child, 1) for child in _children(forest, node))
    seconds, chances, chance = dict[int, int](), dict[int, float](), Counter[int]({nodes[0]: 1.0} if nodes else {})
    taken = set[int]()
    for node in nodes:
        share = {child: chance[node] * leaves.get(child, 1) / leaves[node] for child in _children(forest, node)}
        chance.update(share)
        suited = [child for child in share if child >= 0 and parents[child] == 1 and _is_far(forest.splits[child])]
        if suited and node not in taken and _is_far(forest.splits[node]):
            seconds[node] = max(suited, key=lambda child: share[child])
            chances[node] = share[seconds[node]]
            taken.add(seconds[node])
    likeliest = sorted(seconds, key=lambda node: -chances[node])[:NEAR_PAIRS]
    return {node: seconds[node] for node in likeliest}


def _children(forest: Forest, node: int) -> tuple[int, int]:
    return forest.splits[node].yes, forest.splits[node].no


def parents_of(forest: Forest, root: int) -> Counter[int]:
    """How many ways lead to each node of a tree, and to its leaves."""
    found, pending = Counter[int]({root: 1}), [root]
    while pending:
        node = pending.pop()
        for child in _children(forest, node) if node >= 0 else ():
            if child not in found:
                pending.append(child)
            found[child] += 1
    return found


def _bits(split: Split) -> int:
    return int(np.float32(split.threshold).view(np.uint32))


def _is_far(split: Split) -> bool:
    """Whether a threshold is in a table: not where a comparison with it, or with a constant beside it, is one
    instruction of Thumb-2, CMP or CMN with eight bits at any place, nor where equality is asked for."""
    bits = _bits(split)
    near = {value & 0xFFFFFFFF for constant in (bits - 1, bits, bits + 1) for value in (constant, -constant)}
    return not split.equal and all(value and value >> ((value & -value).bit_length() - 1) >= 1 << 8 for value in near)
