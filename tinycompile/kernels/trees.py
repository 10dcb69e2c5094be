"""Decision trees, as nested ifs that a person can read or as tables that a loop walks; the end of a classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.tree_text import (
    TAKES,
    Ends,
    Limits,
    TreeText,
    ends_of,
    is_single,
    leaf_constants,
    literal,
    only_weight,
)
from tinycompile.ops._forest import Forest, Split
from tinycompile.ops.tree_ensemble import TreeEnsemble
from tinycompile.targets.core import Core

MOST_TESTS = 8192
"""In nested ifs: compilers take seconds for that many."""
DEEPEST = 100
"""Blocks in blocks; C99 promises 127."""
LIKELY = 1.2
"""Tests that are made, in proportion to those of even odds."""
UNROLLED = 16
"""Targets up to which they are filled one by one."""
HEADERS = ("kernels/tc_trees.h",)
SHORT = 1 << 15
"""Numbers of nodes and leaves up to which tables have 16 bits."""


def _notes(op: TreeEnsemble, reason: str) -> dict[str, str]:
    forest = op.forest
    return {
        "trees": str(len(forest.roots)),
        "nodes": str(len(forest.splits)),
        "depth": str(forest.depth),
        "reason": reason,
    }


def _leaf_cost(op: TreeEnsemble, kind: str, core: Core) -> float:
    """Instructions for what the leaves of one row add."""
    trees, each = len(op.forest.roots), 1 if core.has("fpu") else 60
    if kind in ("sum", "count"):
        return 4.0 * trees
    if kind in ("target", "votes"):
        return (7.0 if kind == "target" else 10.0) * trees
    if kind == "weight":
        return (5.0 + each) * trees
    weights = sum(len(leaf) for leaf in op.forest.leaves) / max(len(op.forest.leaves), 1)
    return trees * (8.0 + weights * (8 + each))


def _rows(site: Site) -> int:
    return site.sig.input.elements // site.sig.input.shape[-1]


# Nested ifs.


@kernel_for(TreeEnsemble, dtype=FLOAT32)
def nested_ifs(site: Site, core: Core) -> Kernel | None:
    """A branch for each node; None for forests of more nodes than a compiler likes."""
    return _nested(site, core, signless=False)


@kernel_for(TreeEnsemble, dtype=FLOAT32)
def nested_ifs_signless(site: Site, core: Core) -> Kernel | None:
    """The same with shorter tests: that no feature is NaN with a sign is checked once. None
    where no test would be."""
    op = site.node.op
    if not isinstance(op, TreeEnsemble) or all(split.nan or split.equal for split in op.forest.splits):
        return None
    return _nested(site, core, signless=True)


TEST_COST, SHORT_TEST_COST, WALK_COST = 5.5, 4.3, 17.0
"""Instructions of a test in nested ifs, with NaN in mind and without, and in the loop over tables."""
TEST_BYTES, SHORT_TEST_BYTES = 24, 17
"""Machine code of a test and of a leaf, the threshold included."""


def _nested(site: Site, core: Core, signless: bool) -> Kernel | None:
    op = site.node.op
    if not isinstance(op, TreeEnsemble) or len(op.forest.splits) > MOST_TESTS or op.forest.depth > DEEPEST:
        return None
    forest, rows, width = op.forest, _rows(site), site.sig.input.shape[-1]
    first, last = min(forest.features, default=0), max(forest.features, default=0)
    ends = ends_of(op, core)
    limits = Limits(forest, core.has("thumb2"))
    writer = TreeText(op, ends, limits, signless)
    trees = [writer.function(tree) for tree in range(len(forest.roots))]
    x = "x" if signless else "input"
    body = _body(op, ends, [writer.call(tree, name, x) for tree, (name, _) in enumerate(trees)])
    constants = (*ends.constants, *limits.constants)
    if limits.constants:  # or compilers pass nothing, and load the address in each of them
        body = ["limits = tc_tree_limits(limits);", *body]
    scratch = 2 * op.targets if ends.kind == "votes" else 0
    if signless:
        at = -(-scratch // 4) * 4
        start = "(float *)scratch" if not at else f"(float *)(void *)((char *)scratch + {at})"
        body = [f"const float *x = tc_signless(input, {start}, {first}, {last - first + 1});", *body]
        scratch = at + 4 * width
    text = _looped(body, op, rows, width)
    function = Function(
        f"trees_{len(forest.roots)}_{len(forest.splits)}",
        (
            "const float *input",
            "float *output",
            *(f"const {c.ctype} *{c.suffix}" for c in constants),
            *(["void *scratch"] if scratch else []),
        ),
        text,
        HEADERS,
        f"{len(forest.roots)} decision trees, {len(forest.splits)} tests, at most {forest.depth} after one another.",
        tuple(dict.fromkeys(tree for _, tree in trees)),
    )
    test, size = (SHORT_TEST_COST, SHORT_TEST_BYTES) if signless else (TEST_COST, TEST_BYTES)
    work = LIKELY * test * forest.expected_tests + _leaf_cost(op, ends.kind, core) + 2 * op.targets
    check = _check_cost(last - first + 1, core) if signless else 0
    return Kernel(
        "trees_nested_ifs_signless" if signless else "trees_nested_ifs",
        function,
        constants,
        scratch_bytes=-(-scratch // 8) * 8,
        instructions=int(20 + rows * (work + check)),
        code_bytes=100 + size * len(forest.splits),
        notes=_notes(op, "a branch for each node"),
    )


def _looped(body: list[str], op: TreeEnsemble, rows: int, width: int) -> str:
    """The statements for one row, for all rows."""
    if rows == 1:
        return "".join(f"    {line}\n" if line else "\n" for line in body)
    inner = "".join(f"        {line}\n" if line else "\n" for line in body)
    return (
        f"    for (int32_t row = 0; row < {rows}; ++row) {{\n{inner}"
        f"        input += {width};\n        output += {op.targets};\n    }}\n"
    )


def _body(op: TreeEnsemble, ends: Ends, trees: Sequence[str]) -> list[str]:
    """Statements for one row; `trees` are calls of the trees' functions."""
    start, take = _start(op), TAKES[op.aggregate]
    match ends.kind:
        case "sum":
            weight = [f"const float weight = tc_opaque({literal(only_weight(op))});"] if ends.same else []
            calls = [f"sum = tc_opaque({tree});" for tree in trees]
            lines = [*weight, f"float sum = {start};", *calls, "output[0] = sum;"]
        case "target":
            added = f"output[target] = {take}(output[target], {literal(only_weight(op))});"
            calls = [line for tree in trees for line in (f"target = {tree};", added)]
            lines = ["int32_t target = 0;", *_filled(op.targets, start), *calls]
        case "count":
            lines = ["int32_t count = 0;", *(f"count = {tree};" for tree in trees), "output[0] = sums[count];"]
        case "weight":
            calls = [f"sum = {take}(sum, {tree});" for tree in trees]
            lines = [f"float sum = {start};", *calls, "output[0] = sum;"]
        case "votes":
            empty = ["uint16_t *votes = scratch;", f"for (int32_t i = 0; i < {op.targets}; ++i) {{"]
            empty += ["    votes[i] = 0;", "}"]
            calls = [f"++votes[{tree}];" for tree in trees]
            lines = [*empty, *calls, f"tc_leaf_votes(output, votes, sums, {op.targets});"]
        case "leaf":
            calls = [f"tc_leaf_sparse(output, {tree}, end, targets, weights, {take});" for tree in trees]
            lines = [*_filled(op.targets, start), *calls]
    return [*lines, *_finish(op)]


def _start(op: TreeEnsemble) -> str:
    if op.aggregate in ("min", "max"):
        return "NAN"
    return "-0.0f" if op.marked else "0.0f"


def _filled(count: int, value: str) -> list[str]:
    if count <= UNROLLED:
        return [f"output[{i}] = {value};" for i in range(count)]
    return [f"for (int32_t i = 0; i < {count}; ++i) {{", f"    output[i] = {value};", "}"]


def _finish(op: TreeEnsemble) -> Iterator[str]:
    """From what the leaves gave to the results."""
    if op.aggregate in ("min", "max"):
        missing = "-0.0f" if op.marked else "0.0f"
        yield f"for (int32_t i = 0; i < {op.targets}; ++i) {{"
        yield f"    output[i] = tc_is_nan(output[i]) ? {missing} : output[i];"
        yield "}"
    if op.aggregate == "average":
        yield f"for (int32_t i = 0; i < {op.targets}; ++i) {{"
        yield f"    output[i] = tc_divide(output[i], {float(len(op.forest.roots))}f);"
        yield "}"
    for target, value in enumerate(op.base):
        yield f"output[{target}] = tc_opaque(output[{target}] + {literal(value)});"


# Tables.


def _check_cost(features: int, core: Core) -> float:
    """Instructions of looking for NaN."""
    if core.has("fpu") and features >= 8:
        return 10 + 6.0 * -(-features // 8)
    return 5 + 3.6 * features


@kernel_for(TreeEnsemble, dtype=FLOAT32)
def tables(site: Site, core: Core) -> Kernel | None:
    """`tc_forest_single` or `tc_forest_sparse`: nodes in tables, and one loop that walks them."""
    op = site.node.op
    if not isinstance(op, TreeEnsemble) or op.targets > 1 << 16:
        return None
    forest = with_roots(op.forest)
    width = site.sig.input.shape[-1]
    short = len(forest.splits) < SHORT and len(forest.leaves) < SHORT and width < 1 << 14
    bits = 16 if short else 32
    single = is_single(op)
    rows, constants = _rows(site), _table_constants(forest, bits, single)
    arguments = ", ".join(["input", "output", *(c.suffix for c in constants), TAKES[op.aggregate], "&shape"])
    body = [
        f"output[0] = {_start(op)};" if op.targets == 1 else "",
        *(_filled(op.targets, _start(op)) if op.targets > 1 else []),
        f"tc_forest_{'single' if single else 'sparse'}{bits}({arguments});",
        *_finish(op),
    ]
    shape = (
        f"    static const tc_forest_shape shape = {{\n        .trees = {len(forest.roots)}, "
        f".has_equals = {int(any(s.equal for s in forest.splits))}, "
        f".has_nan = {int(any(s.nan for s in forest.splits))},\n    }};\n"
    )
    text = shape + _looped([line for line in body if line], op, rows, width)
    function = Function(
        f"forest_{len(forest.roots)}_{len(forest.splits)}",
        ("const float *input", "float *output", *(f"const {c.ctype} *{c.suffix}" for c in constants)),
        text,
        HEADERS,
        f"{len(forest.roots)} decision trees of at most {forest.depth} tests one after the other, as tables.",
    )
    leaf = _leaf_cost(op, "weight" if single else "leaf", core)
    work = LIKELY * WALK_COST * forest.expected_tests + 12 * len(forest.roots) + leaf
    return Kernel(
        "trees_tables",
        function,
        constants,
        instructions=int(25 + rows * (work + 8 * op.targets)),
        code_bytes=250,
        notes=_notes(op, "one loop over tables"),
    )


def with_roots(forest: Forest) -> Forest:
    """A tree that is a leaf alone begins with a node that leads to it in any case."""
    splits, roots = list(forest.splits), list[int]()
    for root in forest.roots:
        if root < 0:
            splits.append(Split(0, 0.0, False, False, root, root))
            roots.append(len(splits) - 1)
        else:
            roots.append(root)
    return Forest(tuple(splits), forest.leaves, tuple(roots))


def _table_constants(forest: Forest, bits: int, single: bool) -> tuple[Constant, ...]:
    """In the order of the C function's parameters."""
    owner = np.searchsorted(np.sort(np.array(forest.roots)), np.arange(len(forest.splits)), "right") - 1
    begin = np.sort(np.array(forest.roots))[owner] if forest.splits else np.zeros(0, np.int64)
    signed, unsigned = np.dtype(f"int{bits}"), np.dtype(f"uint{bits}")

    def children(name: str) -> Array:
        child = np.array([getattr(split, name) for split in forest.splits], np.int64)
        return np.where(child >= 0, child - begin, child).astype(signed)

    tests = [split.feature << 2 | split.nan << 1 | split.equal for split in forest.splits]
    nodes = structured(test=np.array(tests, unsigned), no=children("no"), yes=children("yes"))
    limits = np.array([split.threshold for split in forest.splits], np.float32)
    first = Constant("first", "uint32_t", np.array(forest.roots, np.uint32), "first node of each tree")
    common = (
        first,
        Constant("thresholds", "float", limits, "of each node"),
        Constant("nodes", f"tc_tree_node{bits}", nodes, "feature and test, children where it fails and passes"),
    )
    if single:
        weights = np.array([leaf[0][1] if leaf else 0.0 for leaf in forest.leaves], np.float32)
        return (*common, Constant("weights", "float", weights, "of each leaf"))
    return (*common, *leaf_constants(forest))
