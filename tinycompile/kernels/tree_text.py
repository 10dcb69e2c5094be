"""A decision tree as the text of a C function: nested ifs, and how they end."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.kernels.base import Constant
from tinycompile.ops._forest import Forest, Split
from tinycompile.ops.tree_ensemble import TreeEnsemble
from tinycompile.targets.core import Core


def literal(value: float) -> str:
    """A float32 in C, all of its bits."""
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "-INFINITY" if value < 0 else "INFINITY"
    text = str(np.float32(value))  # the shortest one that is this number
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


@dataclass(frozen=True, eq=False)
class Ends:
    """How a tree ends.

    Attributes:
        kind: what a tree's function gives. Of one target: with an FPU the "sum" that it was given and the leaf's
            weight; without one the "weight", or where all are the same what it was given and 1 for a leaf with one, a
            "count". Of several targets, where each leaf has one weight and all are the same, its target: with an FPU
            the weight is added to the "target", without one that gets "votes". Of other leaves the number in tables, a
            "leaf".
        constants: that this needs.
        same: whether all weights are the same.
    """

    kind: Literal["sum", "target", "weight", "count", "votes", "leaf"]
    constants: tuple[Constant, ...]
    same: bool = False

    @property
    def before(self) -> tuple[str, ...]:
        """What a tree's function is given before the features, by name; of its result's type. What gives a target is
        given the one before, unused: the features stay in the register of the second argument from tree to tree."""
        if self.kind == "sum":
            return ("sum", "weight") if self.same else ("sum",)
        return (self.kind,) if self.kind in ("count", "target") else ()

    @property
    def result(self) -> str:
        """The C type of what a tree's function gives."""
        return "float" if self.kind in ("sum", "weight") else "int32_t"


def ends_of(op: TreeEnsemble, core: Core) -> Ends:
    """What suits leaves and core."""
    leaves, adds = op.forest.leaves, op.aggregate in ("sum", "average")
    weights = {weight for leaf in leaves for _, weight in leaf}
    few = adds and len(weights) == 1 and len(op.forest.roots) < 1 << 16 and max(map(len, leaves)) == 1
    if op.targets == 1 and few and not core.has("fpu"):
        return Ends("count", (_sums(op),))
    if is_single(op):
        return Ends("sum", (), few) if core.has("fpu") else Ends("weight", ())
    if few and all(leaves):
        return Ends("target", ()) if core.has("fpu") else Ends("votes", (_sums(op),))
    return Ends("leaf", leaf_constants(op.forest))


def is_single(op: TreeEnsemble) -> bool:
    """Whether every leaf is a number: a weight of the only target, or the 0 that none is in a sum."""
    adds = op.aggregate in ("sum", "average")
    return op.targets == 1 and not op.marked and all(len(leaf) == 1 or (adds and not leaf) for leaf in op.forest.leaves)


def _sums(op: TreeEnsemble) -> Constant:
    """Of so many equal weights, added one after the other."""
    sums = [np.float32(-0.0 if op.marked else 0.0)]
    for _ in op.forest.roots:
        sums.append(sums[-1] + np.float32(only_weight(op)))
    return Constant("sums", "float", np.array(sums, np.float32), "of so many equal weights")


def only_weight(op: TreeEnsemble) -> float:
    return next((weight for leaf in op.forest.leaves for _, weight in leaf), 0.0)


def leaf_constants(forest: Forest) -> tuple[Constant, ...]:
    """The weights of leaves."""
    ends = np.cumsum([0, *(len(leaf) for leaf in forest.leaves)]).astype(np.uint32)
    targets = np.array([target for leaf in forest.leaves for target, _ in leaf], np.uint16)
    weights = np.array([weight for leaf in forest.leaves for _, weight in leaf], np.float32)
    return (
        Constant("end", "uint32_t", ends, "where each leaf's weights end and the next one's begin"),
        Constant("targets", "uint16_t", targets, "of each weight"),
        Constant("weights", "float", weights, "of leaves"),
    )


class Limits:
    """Where trees' thresholds are: in comparisons that have room for them, else in one table, which costs a load, as a
    constant in the code would, but none of the instructions by which compilers make one constant of another.

    Attributes:
        constants: the table, if any.
    """

    def __init__(self, forest: Forest, used: bool) -> None:
        """Args: used: whether there is a table, if any threshold wants it."""
        self._places: list[tuple[int, dict[int, int]]] = []
        table = list[int]()
        for wanted in [_far_thresholds(forest, root) if used else Counter[int]() for root in forest.roots]:
            start, places = self._places[-1] if self._places else (0, dict[int, int]())
            if len(places) + len(wanted.keys() - places) > NEAR_LIMITS:
                start, places = len(table), dict[int, int]()
            for bits in [bits for bits, _ in wanted.most_common() if bits not in places]:
                places[bits] = len(places)
                table.append(bits)
            self._places.append((start, places))
        values = np.array(table, np.uint32)
        self.constants = (Constant("limits", "uint32_t", values, "bits of thresholds"),) if table else ()

    def base(self, tree: int) -> str:
        """Of the thresholds of a tree, in C."""
        start, _ = self._places[tree]
        return f"limits + {start}" if start else "limits"

    def threshold(self, tree: int, split: Split) -> str:
        """The bits of a threshold, in C."""
        bits = _bits(split)
        place = self._places[tree][1].get(bits)
        return f"0x{bits:08x}u" if place is None or split.equal else f"tc_limit(limits, {place})"


TAKES = {"sum": "tc_leaf_add", "average": "tc_leaf_add", "min": "tc_leaf_minimum", "max": "tc_leaf_maximum"}
"""How the weights of leaves become one, in C."""
NEAR_LIMITS = 1024
"""Words that a load reaches from a base, in 12 bits of bytes."""


def _bits(split: Split) -> int:
    return int(np.float32(split.threshold).view(np.uint32))


def _far_thresholds(forest: Forest, root: int) -> Counter[int]:
    """How often a tree has each threshold that comparisons have no room for."""
    splits = [forest.splits[node] for node in _parents(forest, root) if node >= 0]
    return Counter(_bits(split) for split in splits if not split.equal and not _fits_comparison(_bits(split)))


def _fits_comparison(bits: int) -> bool:
    """Whether a comparison with this constant, or one beside it, is one instruction of Thumb-2: CMP or CMN with eight
    bits at any place."""
    near = {value & 0xFFFFFFFF for constant in (bits - 1, bits, bits + 1) for value in (constant, -constant)}
    return any(not value or value >> ((value & -value).bit_length() - 1) < 1 << 8 for value in near)


@dataclass(frozen=True)
class TreeText:
    """What the functions of a forest's trees have in common.

    Attributes:
        signless: no feature is NaN with a sign.
    """

    op: TreeEnsemble
    ends: Ends
    limits: Limits
    signless: bool

    def call(self, tree: int, name: str, x: str) -> str:
        """Of the function of a tree; `x` are the features."""
        limits = [self.limits.base(tree)] if self.limits.constants else []
        return f"{name}({', '.join([*self.ends.before, x, *limits])})"

    def function(self, tree: int) -> tuple[str, str]:
        """A tree's function, by the name of its text, and that name. A node with several parents has a label."""
        root = self.op.forest.roots[tree]
        body = "".join(f"{line}\n" for line in self._lines(tree, root))
        result = self.ends.result
        name = f"tree_{zlib.crc32(f'{result} {body}'.encode()):08x}"
        limits = ["const uint32_t *limits"] if self.limits.constants else []
        before = self.ends.before
        parameters = [*(f"{result} {name}" for name in before), "const float *x", *limits]
        start = "    uint32_t value;\n" if "value = " in body else ""
        start += f"    (void){before[0]};\n" if self.ends.kind == "target" else ""
        start += "    (void)weight;\n" if "weight" in before and "weight;" not in body else ""
        start += "" if "tc_feature(x" in body else "    (void)x;\n"
        start += "    (void)limits;\n" if self.limits.constants and "(limits" not in body else ""
        return name, f"TC_TREE {result} {name}({', '.join(parameters)})\n{{\n{start}{body}}}\n"

    def _lines(self, tree: int, root: int) -> list[str]:
        forest, parents = self.op.forest, _parents(self.op.forest, root)
        lines, done = list[str](), dict[int, int]()
        pending: list[tuple[int, int, str, int] | str] = [(root, 1, "", -1)]
        while pending:
            item = pending.pop()
            if isinstance(item, str):
                lines.append(item)
                continue
            node, depth, before, parent = item
            indent = "    " * depth
            if node >= 0 and node not in done and (not before or parents[node] == 1):
                done[node] = len(done)
                if parents[node] > 1:
                    lines.append(f"{indent}node_{done[node]}:;")
                split = forest.splits[node]
                lines.append(f"{indent}{before}if ({self._condition(tree, node, parent, parents)}) {{")
                pending += [(split.no, depth, "} else ", node), (split.yes, depth + 1, "", node)]
            elif before:  # what isn't another test
                lines.append(f"{indent}}} else {{")
                pending += [f"{indent}}}", (node, depth + 1, "", parent)]
            elif node < 0:
                lines += [f"{indent}{line}" for line in self._leaf(-1 - node)]
            else:
                lines.append(f"{indent}goto node_{done[node]};")
        return lines

    def _condition(self, tree: int, node: int, parent: int, parents: Counter[int]) -> str:
        """A feature that the test before was of is still there."""
        splits = self.op.forest.splits

        def kept(above: int, below: int) -> bool:
            both = above >= 0 and below >= 0 and parents[below] == 1
            return both and splits[above].feature == splits[below].feature and not splits[above].never

        split = splits[node]
        x = f"tc_feature(x, {split.feature})"
        if any(kept(node, child) for child in (split.yes, split.no)):
            x = f"value = {x}"
        if kept(parent, node):
            x = "value"
        return self._test(split, x, self.limits.threshold(tree, split))

    def _test(self, split: Split, x: str, threshold: str) -> str:
        if np.isnan(split.threshold):
            return "0" if split.never else f"tc_bits_are_nan({x})"
        if split.equal:
            return f"tc_bits_equal{'_or_nan' if split.nan else ''}({x}, {threshold})"
        kind = "_or_nan" if split.nan else "_signless" if self.signless else ""
        sign = "_negative" if split.threshold < 0 else ""
        return f"tc_bits_at_most{kind}{sign}({x}, {threshold})"

    def _leaf(self, number: int) -> Iterator[str]:
        """The end of a tree's function there."""
        leaf = self.op.forest.leaves[number]
        match self.ends.kind:
            case "sum":
                yield f"return {self._taken('weight' if self.ends.same else literal(leaf[0][1])) if leaf else 'sum'};"
            case "weight":
                yield f"return {literal(leaf[0][1] if leaf else 0.0)};"
            case "count":
                yield f"return count{' + 1' if leaf else ''};"
            case "target" | "votes":
                yield f"return {leaf[0][0]};"
            case "leaf":
                yield f"return {number};"

    def _taken(self, weight: str) -> str:
        """A sum is the function's result, which no compiler flag keeps from being rounded."""
        take = TAKES[self.op.aggregate]
        return f"sum + {weight}" if take == "tc_leaf_add" else f"{take}(sum, {weight})"


def _parents(forest: Forest, root: int) -> Counter[int]:
    """How many ways lead to each node of a tree."""
    found, pending = Counter[int]({root: 1}), [root]
    while pending:
        node = pending.pop()
        if node < 0:
            continue
        for child in (forest.splits[node].yes, forest.splits[node].no):
            if child not in found:
                pending.append(child)
            found[child] += 1
    return found
