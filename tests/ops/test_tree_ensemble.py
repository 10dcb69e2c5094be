"""Tree ensembles against onnxruntime, bit for bit, and their kernels against the definition."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.random_forest import LIMITS, by_onnxruntime, by_us, ensemble, imported, new_ensemble, rows
from tinycompile.dtypes import FLOAT32
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Node, Signature, Site, TensorType
from tinycompile.kernels.base import Factory, Kernel
from tinycompile.kernels.trees import nested_ifs, nested_ifs_signless, tables
from tinycompile.ops._forest import Forest, ForestBuilder, Question, Split
from tinycompile.ops.tree_ensemble import TreeEnsemble

ROWS = 300


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    """NaN is NaN."""
    assert a.shape == b.shape
    np.testing.assert_array_equal(
        np.where(np.isnan(a), 0, a.view(np.int32)), np.where(np.isnan(b), 0, b.view(np.int32))
    )


@pytest.mark.parametrize("aggregate", ["SUM", "AVERAGE", "MIN", "MAX"])
@pytest.mark.parametrize("targets", [1, 3])
@pytest.mark.parametrize("base", [False, True])
def test_regressors(aggregate, targets, base, tmp_path):
    """Every mode of a node; features that are thresholds, beside them, and NaN, which goes where the node says."""
    rng = np.random.default_rng([targets, base, len(aggregate)])
    options = {"base_values": [float(v) for v in rng.uniform(-1, 1, targets)]} if base else {}
    model = ensemble(rng, "Regressor", targets, aggregate_function=aggregate, **options)
    x = rows(rng, ROWS)
    (got,), (want,) = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    same_bits(got + np.float32(0), want + np.float32(0))


@pytest.mark.parametrize("seed", range(8))
def test_version_5(seed, tmp_path):
    rng = np.random.default_rng(seed)
    model = new_ensemble(rng, 1 + seed % 3, aggregate_function=seed % 4)
    x = np.where(rng.random((ROWS, 4)) < 0.5, rng.integers(0, 10, (ROWS, 4)), rows(rng, ROWS, 4)).astype(np.float32)
    (got,), (want,) = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    same_bits(got + np.float32(0), want + np.float32(0))


def test_integers_are_converted(tmp_path):
    rng = np.random.default_rng(5)
    model = ensemble(rng, "Classifier", 3, modes=["BRANCH_LEQ"])
    model.graph.input[0].type.tensor_type.elem_type = 7
    x = rng.integers(-4, 4, (ROWS, 5))
    (_, got), (_, want) = by_us(imported(model, tmp_path / "m.onnx", ROWS), x), by_onnxruntime(model, x)
    same_bits(got, want)


def kernels(site: Site) -> list[Kernel]:
    found = [factory(site, M7) for factory in (nested_ifs, nested_ifs_signless, tables)]
    return [kernel for kernel in found if kernel is not None]


def site_for(op: TreeEnsemble, count: int, features: int) -> Site:
    x = TensorType((count, features), FLOAT32)
    ((shape, dtype),) = op.infer([x])
    return Site(Node("trees", op, ("x",), ("y",)), Signature((x,), (TensorType(shape, dtype),)), (None,))


@pytest.mark.parametrize(
    ("targets", "dense", "aggregate", "marked"),
    [(1, True, "SUM", False), (4, False, "AVERAGE", True), (3, True, "MAX", False)],
    ids=["one-target", "sparse", "largest"],
)
def test_kernels(targets, dense, aggregate, marked, tmp_path):
    rng = np.random.default_rng(targets)
    model = ensemble(rng, "Regressor", targets, dense=dense, aggregate_function=aggregate)
    graph = imported(model, tmp_path / "m.onnx", 1)
    op = graph.nodes[0].op
    assert isinstance(op, TreeEnsemble)
    site = site_for(TreeEnsemble(op.forest, op.targets, op.aggregate, op.base, marked), ROWS, 5)
    x = rows(rng, ROWS)
    (want,) = site.node.op.evaluate(site.sig, [x])
    found = kernels(site)
    assert [kernel.variant for kernel in found] == ["trees_nested_ifs", "trees_nested_ifs_signless", "trees_tables"]
    for kernel in found:
        got = run_kernel(kernel, [x], site.sig.output, sanitize=True)
        np.testing.assert_array_equal(got.view(np.int32), want.view(np.int32), err_msg=kernel.variant)


def grown(rng: np.random.Generator, targets: int, features: int, same: bool) -> TreeEnsemble:
    """Trees of <=, whose leaves have one weight; a feature is often asked again at once, and some tests can't pass."""
    builder = ForestBuilder()
    for _ in range(3):
        asked = [Question(int(rng.integers(features)), "LEQ", float(rng.choice(LIMITS[1:])), False) for _ in range(15)]
        for node in rng.choice(np.arange(1, 15), 6, replace=False):
            above = asked[(node - 1) // 2].feature
            asked[node] = Question(above, "LT" if node == 3 else "LEQ", -np.inf if node == 3 else 0.7 * node, False)
        leaves = [((int(rng.integers(targets)), 0.1 if same else float(rng.normal())),) for _ in range(31)]
        below = [2 * node + 1 for node in range(31)]
        builder.add(0, [*asked, *[None] * 16], below, [node + 1 for node in below], leaves)
    return TreeEnsemble(builder.forest(), targets)


def with_special_features(x: TensorType, rng: np.random.Generator) -> np.ndarray:
    """In a third of the rows NaN with and without a sign, and infinities."""
    values = rows(rng, *x.shape)
    special = rng.choice(np.array([np.nan, -np.nan, np.inf, -np.inf, 1], np.float32), x.shape)
    return np.where((np.arange(len(values)) % 3 == 0)[:, None] & (rng.random(x.shape) < 0.3), special, values)


@pytest.mark.parametrize("near", [3, 1024], ids=["several-tables", "one-table"])
def test_thresholds_in_tables(near, monkeypatch):
    """Of which a function reaches so many."""
    monkeypatch.setattr("tinycompile.kernels.tree_text.NEAR_LIMITS", near)
    for targets, same, features in [(1, True, 7), (1, False, 8), (4, True, 9)]:
        rng = np.random.default_rng(features)
        site = site_for(grown(rng, targets, features, same), ROWS, features)
        x = with_special_features(site.sig.input, rng)
        for kernel in kernels(site)[:2]:
            got, (want,) = run_kernel(kernel, [x], site.sig.output), site.node.op.evaluate(site.sig, [x])
            np.testing.assert_array_equal(got, want, err_msg=kernel.variant)


def test_nan_is_found_by_assembly():
    """A sum of products by an FPU's instructions, of eight features at a time."""
    rng, cases = np.random.default_rng(3), list[tuple[Factory, Site]]()
    for targets, same, features in [(1, False, 8), (1, True, 19), (3, True, 30)]:
        cases.append((nested_ifs_signless, site_for(grown(rng, targets, features, same), 40, features)))
    check_emulated(cases, "mps2-an386", values_of=with_special_features)


def shared(leaf_weights: tuple[float, ...]) -> Forest:
    """A node with two parents, a tree that is a leaf, and the tests of a set."""
    builder = ForestBuilder()
    tests = [
        Question(0, "EQ", 0.5, False),
        Question(0, "EQ", 1.0, True),
        Question(1, "LEQ", -1.0, True),
        None,
        None,
        None,
    ]
    leaves = [(), (), (), *(((i % 2, w),) for i, w in enumerate(leaf_weights))]
    builder.add(0, tests, [2, 2, 3, -1, -1, -1], [1, 5, 4, -1, -1, -1], leaves)
    builder.add(3, tests, [2, 2, 3, -1, -1, -1], [1, 5, 4, -1, -1, -1], leaves)
    return builder.forest()


def test_nodes_with_several_parents_and_votes():
    """Equal weights are counted: the sum of so many is a table."""
    site = site_for(TreeEnsemble(shared((0.1, 0.1, 0.1)), 2), ROWS, 2)
    x = rows(np.random.default_rng(0), ROWS, 2)
    (want,) = site.node.op.evaluate(site.sig, [x])
    found = kernels(site)
    counting = nested_ifs(site, core_named("cortex-m3"))
    assert counting is not None and counting.function is not None
    assert "goto node_1;" in counting.function.preambles[0] and "++votes" in counting.function.body
    for kernel in (*found, counting):
        np.testing.assert_array_equal(run_kernel(kernel, [x], site.sig.output), want)


def test_leaves_of_one_weight_or_none_are_counted():
    forest = shared((0.1, 0.1, 0.1))
    leaves = tuple(() if leaf[0][0] else ((0, 0.1),) for leaf in forest.leaves)
    site = site_for(TreeEnsemble(Forest(forest.splits, leaves, forest.roots), 1), ROWS, 2)
    x = rows(np.random.default_rng(0), ROWS, 2)
    (want,) = site.node.op.evaluate(site.sig, [x])
    kernel = nested_ifs(site, core_named("cortex-m3"))
    assert kernel is not None and kernel.function is not None and "sums[count]" in kernel.function.body
    np.testing.assert_array_equal(run_kernel(kernel, [x], site.sig.output), want)
    assert len(np.unique(want)) == 2


def test_what_a_model_cannot_have(tmp_path):
    rng = np.random.default_rng(1)
    model = ensemble(rng, "Regressor", 1)
    (node,) = model.graph.node
    attributes = {a.name: a for a in node.attribute}

    def refused(message: str) -> None:
        with pytest.raises(UnsupportedError, match=message):
            imported(model, tmp_path / "m.onnx", 1)

    children = attributes["nodes_truenodeids"].ints
    before, children[0] = children[0], 0
    refused("a node is its own descendant")
    children[0] = 999
    refused("a node's child doesn't exist")
    children[0] = before
    for feature in (-1, 5):
        before, attributes["nodes_featureids"].ints[0] = attributes["nodes_featureids"].ints[0], feature
        refused(r"features \[.*\] of float32\[1x5\]")
        attributes["nodes_featureids"].ints[0] = before
    attributes["target_ids"].ints[0] = 1
    refused("a weight for a target that isn't one of 1")
    attributes["target_ids"].ints[0] = 0
    attributes["nodes_modes"].strings[0] = b"BRANCH_LIKE"
    refused("nodes of mode LIKE")


@pytest.mark.parametrize("limit", LIMITS[1:-1], ids=str)
def test_every_order(limit):
    """x < t is x <= the number before t, which isn't -0.0."""
    forest = Forest(
        (Split(0, float(np.nextafter(limit, -np.inf)) + 0.0, False, False, -1, -2),), (((0, 1.0),), ()), (0,)
    )
    builder = ForestBuilder()
    builder.add(
        0, [Question(0, "LT", float(limit), False), None, None], [1, -1, -1], [2, -1, -1], [(), ((0, 1.0),), ()]
    )
    assert builder.forest() == forest
    assert str(builder.forest().splits[0].threshold) != "-0.0"
