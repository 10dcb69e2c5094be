"""Decision trees, as nested ifs that a person can read or as tables that a loop walks; the end of a classifier."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
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
TAKES = {"sum": "tc_leaf_add", "average": "tc_leaf_add", "min": "tc_leaf_minimum", "max": "tc_leaf_maximum"}
HEADERS = ("kernels/tc_trees.h",)
SHORT = 1 << 15
"""Numbers of nodes and leaves up to which tables have 16 bits."""


def literal(value: float) -> str:
    """A float32 in C, all of its bits."""
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "-INFINITY" if value < 0 else "INFINITY"
    text = str(np.float32(value))  # the shortest one that is this number
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


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
    if kind in ("count", "votes", "target"):
        return 10.0 * trees
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


TEST_COST, SHORT_TEST_COST, WALK_COST, CHECK_COST = 5.5, 4.3, 17.0, 3.6
"""Instructions of a test in nested ifs, with NaN in mind and without, in the loop over tables; of a check for NaN."""
TEST_BYTES, SHORT_TEST_BYTES = 24, 17
"""Machine code of a test and of a leaf, the threshold included."""


def _nested(site: Site, core: Core, signless: bool) -> Kernel | None:
    op = site.node.op
    if not isinstance(op, TreeEnsemble) or len(op.forest.splits) > MOST_TESTS or op.forest.depth > DEEPEST:
        return None
    forest, rows, width = op.forest, _rows(site), site.sig.input.shape[-1]
    first, last = min(forest.features, default=0), max(forest.features, default=0)
    ends = _ends(op, core)
    trees = [_tree(op, ends, root, signless) for root in forest.roots]
    body = _body(op, ends, [name for name, _ in trees], "x" if signless else "input")
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
            *(f"const {c.ctype} *{c.suffix}" for c in ends.constants),
            *(["void *scratch"] if scratch else []),
        ),
        text,
        HEADERS,
        f"{len(forest.roots)} decision trees, {len(forest.splits)} tests, at most {forest.depth} after one another.",
        tuple(dict.fromkeys(tree for _, tree in trees)),
    )
    test, size = (SHORT_TEST_COST, SHORT_TEST_BYTES) if signless else (TEST_COST, TEST_BYTES)
    work = LIKELY * test * forest.expected_tests + _leaf_cost(op, ends.kind, core) + 2 * op.targets
    check = CHECK_COST * (last - first + 1) if signless else 0
    return Kernel(
        "trees_nested_ifs_signless" if signless else "trees_nested_ifs",
        function,
        ends.constants,
        scratch_bytes=-(-scratch // 8) * 8,
        instructions=int(20 + rows * (work + check)),
        code_bytes=100 + size * len(forest.splits),
        notes=_notes(op, "a branch for each node"),
    )


@dataclass(frozen=True, eq=False)
class _Ends:
    """How a tree ends.

    Attributes:
        kind: what a tree's function gives: a "weight", of the only target; 0 or 1, of which there is a "count", where
            that target has a single weight; a "target", where all have the same single one, which is added at once, or
            counted in "votes"; a "leaf" by its number in tables.
        constants: that this needs.
    """

    kind: Literal["count", "weight", "target", "votes", "leaf"]
    constants: tuple[Constant, ...]


def _ends(op: TreeEnsemble, core: Core) -> _Ends:
    leaves, adds = op.forest.leaves, op.aggregate in ("sum", "average")
    weights = {weight for leaf in leaves for _, weight in leaf}
    few = adds and len(weights) == 1 and len(op.forest.roots) < 1 << 16 and max(map(len, leaves)) == 1
    if op.targets == 1 and few and not core.has("fpu"):
        return _Ends("count", (_sums(op),))
    if _is_single(op):
        return _Ends("weight", ())
    if few and all(leaves):
        return _Ends("target", ()) if core.has("fpu") else _Ends("votes", (_sums(op),))
    return _Ends("leaf", _leaf_constants(op.forest))


def _is_single(op: TreeEnsemble) -> bool:
    """Whether every leaf is a number: a weight of the only target, or the 0 that none is in a sum."""
    adds = op.aggregate in ("sum", "average")
    return op.targets == 1 and not op.marked and all(len(leaf) == 1 or (adds and not leaf) for leaf in op.forest.leaves)


def _sums(op: TreeEnsemble) -> Constant:
    """Of so many equal weights, added one after the other."""
    sums = [np.float32(-0.0 if op.marked else 0.0)]
    for _ in op.forest.roots:
        sums.append(sums[-1] + np.float32(_only_weight(op)))
    return Constant("sums", "float", np.array(sums, np.float32), "of so many equal weights")


def _looped(body: list[str], op: TreeEnsemble, rows: int, width: int) -> str:
    """The statements for one row, for all rows."""
    if rows == 1:
        return "".join(f"    {line}\n" if line else "\n" for line in body)
    inner = "".join(f"        {line}\n" if line else "\n" for line in body)
    return (
        f"    for (int32_t row = 0; row < {rows}; ++row) {{\n{inner}"
        f"        input += {width};\n        output += {op.targets};\n    }}\n"
    )


def _body(op: TreeEnsemble, ends: _Ends, names: Sequence[str], x: str) -> list[str]:
    """Statements for one row; `names` are the functions of the trees, `x` the features."""
    start, take = _start(op), TAKES[op.aggregate]
    match ends.kind:
        case "count":
            lines = ["int32_t count = 0;", *(f"count += {name}({x});" for name in names), "output[0] = sums[count];"]
        case "weight":
            calls = [f"sum = {take}(sum, {name}({x}));" for name in names]
            lines = [f"float sum = {start};", *calls, "output[0] = sum;"]
        case "target":
            added = f"output[target] = {take}(output[target], {literal(_only_weight(op))});"
            calls = [line for name in names for line in (f"target = {name}({x});", added)]
            lines = ["int32_t target;", *_filled(op.targets, start), *calls]
        case "votes":
            empty = ["uint16_t *votes = scratch;", f"for (int32_t i = 0; i < {op.targets}; ++i) {{"]
            empty += ["    votes[i] = 0;", "}"]
            calls = [f"++votes[{name}({x})];" for name in names]
            lines = [*empty, *calls, f"tc_leaf_votes(output, votes, sums, {op.targets});"]
        case "leaf":
            calls = [f"tc_leaf_sparse(output, {name}({x}), end, targets, weights, {take});" for name in names]
            lines = [*_filled(op.targets, start), *calls]
    return [*lines, *_finish(op)]


def _start(op: TreeEnsemble) -> str:
    if op.aggregate in ("min", "max"):
        return "NAN"
    return "-0.0f" if op.marked else "0.0f"


def _only_weight(op: TreeEnsemble) -> float:
    return next((weight for leaf in op.forest.leaves for _, weight in leaf), 0.0)


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


def _tree(op: TreeEnsemble, ends: _Ends, root: int, signless: bool) -> tuple[str, str]:
    """A tree's function, by the name of its text, and that name. A node with several parents has a label."""
    forest, parents = op.forest, _parents(op.forest, root)
    lines, done = list[str](), dict[int, int]()
    pending: list[tuple[int, int, str] | str] = [(root, 1, "")]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            lines.append(item)
            continue
        node, depth, before = item
        indent = "    " * depth
        if node >= 0 and node not in done and (not before or parents[node] == 1):
            done[node] = len(done)
            if parents[node] > 1:
                lines.append(f"{indent}node_{done[node]}:;")
            split = forest.splits[node]
            lines.append(f"{indent}{before}if ({_condition(split, signless)}) {{")
            pending += [(split.no, depth, "} else "), (split.yes, depth + 1, "")]
        elif before:  # what isn't another test
            lines.append(f"{indent}}} else {{")
            pending += [f"{indent}}}", (node, depth + 1, "")]
        elif node < 0:
            lines.append(f"{indent}return {_leaf(op, ends, -1 - node)};")
        else:
            lines.append(f"{indent}goto node_{done[node]};")
    body = "".join(f"{line}\n" for line in lines)
    result = "float" if ends.kind == "weight" else "int32_t"
    name = f"tree_{zlib.crc32(f'{result} {body}'.encode()):08x}"
    unused = "" if "x[" in body else "    (void)x;\n"
    return name, f"TC_TREE {result} {name}(const float *x)\n{{\n{unused}{body}}}\n"


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


def _condition(split: Split, signless: bool) -> str:
    feature = f"x[{split.feature}]"
    if np.isnan(split.threshold):
        return f"tc_is_nan({feature})" if split.nan else "0"
    if split.equal:
        test = f"tc_equals({feature}, {literal(split.threshold)})"
        return f"{test} || tc_is_nan({feature})" if split.nan else test
    name = "tc_at_most_or_nan" if split.nan else "tc_at_most_signless" if signless else "tc_at_most"
    return f"{name}({feature}, {literal(split.threshold)})"


def _leaf(op: TreeEnsemble, ends: _Ends, number: int) -> str:
    """What a tree's function returns there."""
    leaf = op.forest.leaves[number]
    if ends.kind == "weight":
        return literal(leaf[0][1] if leaf else 0.0)
    if ends.kind == "count":
        return str(len(leaf))
    return str(number if ends.kind == "leaf" else leaf[0][0])


# Tables.


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
    single = _is_single(op)
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
    return (*common, *_leaf_constants(forest))


def _leaf_constants(forest: Forest) -> tuple[Constant, ...]:
    """The weights of leaves."""
    ends = np.cumsum([0, *(len(leaf) for leaf in forest.leaves)]).astype(np.uint32)
    targets = np.array([target for leaf in forest.leaves for target, _ in leaf], np.uint16)
    weights = np.array([weight for leaf in forest.leaves for _, weight in leaf], np.float32)
    return (
        Constant("end", "uint32_t", ends, "where each leaf's weights end and the next one's begin"),
        Constant("targets", "uint16_t", targets, "of each weight"),
        Constant("weights", "float", weights, "of leaves"),
    )
