"""Tree ensembles of ai.onnx.ml, classifiers and regressors of versions 1 to 3, and the newer TreeEnsemble.

Where ONNX leaves a question open, onnxruntime 1.31 answers it: it adds weights in float32, tree after tree, then base
values; it ignores a regressor's LOGISTIC and softmax of one target; two classes of which one has weights are a pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np

from tinycompile.dtypes import FLOAT32, INT64
from tinycompile.frontend.onnx_float import tensor
from tinycompile.frontend.onnx_ml_registry import ml_importer
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Discrete, Placed, Real, identity
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Op, TensorType
from tinycompile.ops._forest import Forest, ForestBuilder, Leaf, Question
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.cast import Cast
from tinycompile.ops.class_scores import ClassScores, Decision, Pair, Transform
from tinycompile.ops.gather import Gather
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.tree_ensemble import Aggregate, TreeEnsemble

_TRANSFORMS = ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT")
_TRANSFORMS_BY_NUMBER: Sequence[Transform] = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
"""Both by TreeEnsemble's numbers."""
_MODES = ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ", "MEMBER")
"""By TreeEnsemble's number."""
MAX_MEMBERS = 256
"""Values of a set that a BRANCH_MEMBER asks for."""


def features(scope: Scope) -> Placed:
    """Operand 0 as rows of float32, (rows, features)."""
    value = scope.value()
    at = scope.plain(value.at if isinstance(value, Discrete) else tensor(scope))
    if len(at.shape) > 2:
        raise Rejected(f"its operand has {len(at.shape)} dimensions, supported are 2")
    if len(at.shape) == 1:
        at = scope.reshaped(at, (1, *at.shape), (1, *at.shape), identity(2))
    if scope.state.type_of(at).dtype != FLOAT32:
        at = Placed(scope.state.emit(Cast(FLOAT32), [at.name], f"{scope.name}_features", None), at.shape, at.order)
    return at


def transform_of(scope: Scope) -> Transform:
    name = str(scope.attribute("post_transform", "NONE"))
    if name not in _TRANSFORMS:
        raise Rejected(f"post_transform = {name!r}")
    return name


def class_labels(scope: Scope, *names: str) -> tuple[int, ...]:
    """Labels of classes, by the attribute that has them."""
    found = next((labels for name in names if (labels := scope.attribute(name, None))), None)
    if not found:
        raise Rejected(f"it has no {names[0]}")
    return tuple(int(label) for label in found)


def set_classes(scope: Scope, scores: str, op: ClassScores) -> None:
    """The node's results: labels (rows,) and probabilities (rows, classes)."""
    names = [*scope.node.output, ""]
    if op == ClassScores(op.labels) and all(scope.node.output):
        _set_largest(scope, scores, op.labels)
        return
    wanted = [names[0] or f"{scope.name}_label", names[1] or f"{scope.name}_scores"]
    labels, found = scope.state.emit_several(op, [scores], wanted, (None, None))
    shapes = [scope.state.builder.types[name].shape for name in (labels, found)]
    if names[0]:
        scope.set(Discrete(Placed(labels, shapes[0], identity(len(shapes[0]))), INT64), 0)
    if names[1]:
        scope.set(Real(Placed(found, shapes[1], identity(len(shapes[1])))), 1)


def _set_largest(scope: Scope, scores: str, labels: tuple[int, ...]) -> None:
    """The scores are the probabilities: without another copy of them."""
    shape = scope.state.builder.types[scores].shape
    name = _emit(scope, ArgMax(len(shape) - 1, INT64), scores, f"{scope.name}_class")
    if labels != tuple(range(len(labels))):
        table = np.array(labels, np.int64)
        values = scope.state.value(f"{scope.name}_labels", TensorType(table.shape, INT64), table)
        name = scope.state.emit(Gather(0), [values, name], scope.name, None)
    scope.set(Discrete(Placed(name, shape[:-1], identity(len(shape) - 1)), INT64), 0)
    scope.set(Real(Placed(scores, shape, identity(len(shape)))), 1)


class _Columns:
    """Lists of equal length, an entry for each node or weight, from attributes. Raises Rejected."""

    def __init__(self, scope: Scope, prefix: str, names: Mapping[str, str], count: int | None = None) -> None:
        self.columns = dict[str, list[Any]]()
        for key, name in names.items():
            found = scope.attribute(f"{prefix}{name}", None)
            self.columns[key] = _plain(found) if found is not None else []
        self.size = max(map(len, self.columns.values())) if count is None else count
        wrong = [f"{prefix}{names[key]}" for key, column in self.columns.items() if len(column) not in (0, self.size)]
        if wrong:
            raise Rejected(f"{wrong[0]} has another length than the others")

    def __getitem__(self, key: str) -> list[Any]:
        return self.columns[key] or [0] * self.size


def _plain(value: Any) -> list[Any]:
    """The elements of a list, or of a tensor of float32."""
    if isinstance(value, list):
        return cast(list[Any], value)
    array = onnx_module().numpy_helper.to_array(value)
    if array.dtype == np.float64:
        raise Rejected("it computes in float64, supported is float32")
    return array.ravel().tolist()


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _old_forest(scope: Scope, kind: Literal["class", "target"]) -> Forest:
    """Of nodes and weights with numbers of trees and of nodes in them. A tree's first node is its root."""
    names = ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids")
    more = {"missing": "missing_value_tracks_true", "wide": "values_as_tensor"}
    nodes = _Columns(scope, "nodes_", {name: name for name in names} | more)
    weights = _Columns(
        scope,
        f"{kind}_",
        {"treeids": "treeids", "nodeids": "nodeids", "ids": "ids", "values": "weights", "wide": "weights_as_tensor"},
    )
    scope.ignore("nodes_hitrates", "nodes_hitrates_as_tensor")
    places = {key: index for index, key in enumerate(zip(nodes["treeids"], nodes["nodeids"], strict=True))}
    if len(places) != nodes.size:
        raise Rejected("a tree has two nodes of one number")
    leaves = [list[tuple[int, float]]() for _ in range(nodes.size)]
    columns = (weights["treeids"], weights["nodeids"], weights["ids"])
    values = weights.columns["wide"] or weights["values"]
    for tree, node, target, weight in zip(*columns, values, strict=True):
        leaves[places[tree, node]].append((int(target), float(np.float32(weight)) + 0.0))
    limits = nodes.columns["wide"] or nodes["values"]
    modes = [_text(mode).removeprefix("BRANCH_") for mode in nodes["modes"]]
    tests = [
        None if mode == "LEAF" else Question(int(feature), mode, float(limit), bool(missing))
        for mode, feature, limit, missing in zip(modes, nodes["featureids"], limits, nodes["missing"], strict=True)
    ]
    children = [
        [places.get((tree, child), -1) for tree, child in zip(nodes["treeids"], nodes[name], strict=True)]
        for name in ("truenodeids", "falsenodeids")
    ]
    if any(test is not None and -1 in (yes, no) for test, yes, no in zip(tests, *children, strict=True)):
        raise Rejected("a node's child doesn't exist")
    trees: Sequence[int] = nodes["treeids"]
    roots = [0, *(index + 1 for index, (a, b) in enumerate(pairwise(trees)) if a != b)]
    if len(roots) != len(set(trees)):
        raise Rejected("the nodes of a tree aren't side by side")
    return _built(roots, tests, children[0], children[1], [tuple(leaf) for leaf in leaves])


def _built(
    roots: Sequence[int],
    tests: Sequence[Question | None],
    yes: Sequence[int],
    no: Sequence[int],
    leaves: Sequence[Leaf],
) -> Forest:
    builder = ForestBuilder()
    try:
        for root in roots:
            builder.add(root, tests, yes, no, leaves)
    except ValueError as error:
        raise Rejected(str(error)) from error
    return builder.forest()


def _always_scored(forest: Forest, targets: int) -> bool:
    """Whether every target has a weight in all leaves of some tree."""
    leaves, scored = [{target for target, _ in leaf} for leaf in forest.leaves], set[int]()
    for root in forest.roots:
        pending, found, seen = [root], set(range(targets)), set[int]()
        while pending and found:
            node = pending.pop()
            if node < 0:
                found &= leaves[-1 - node]
            elif node not in seen:
                seen.add(node)
                pending += [forest.splits[node].yes, forest.splits[node].no]
        scored |= found
    return len(scored) == targets


def _without_zeros(forest: Forest) -> Forest:
    """Weights of 0 change no sum that begins with 0."""
    builder = dict[Leaf, int]()
    kept = [builder.setdefault(tuple(w for w in leaf if w[1] != 0), len(builder)) for leaf in forest.leaves]

    def moved(child: int) -> int:
        return child if child >= 0 else -1 - kept[-1 - child]

    splits = tuple(replace(split, yes=moved(split.yes), no=moved(split.no)) for split in forest.splits)
    return Forest(splits, tuple(builder), tuple(moved(root) for root in forest.roots))


def _emit(scope: Scope, op: Op, operand: str, name: str) -> str:
    return scope.state.emit(op, [operand], name, None)


@ml_importer("TreeEnsembleClassifier")
def classifier(scope: Scope) -> None:
    forest = _old_forest(scope, "class")
    labels = class_labels(scope, "classlabels_int64s")
    base = _base_values(scope)
    transform, x = transform_of(scope), features(scope)
    classes, name = len(labels), f"{scope.name}_trees"
    if classes > 2:
        if len(base) not in (0, classes):
            raise Rejected(f"it has {len(base)} base values for {classes} classes")
        always = bool(base) or _always_scored(forest, classes)
        trees = TreeEnsemble(_without_zeros(forest) if always else forest, classes, base=base, marked=not always)
        set_classes(scope, _emit(scope, trees, x.name, name), ClassScores(labels, transform, marked=not always))
        return
    weighted = {target for leaf in forest.leaves for target, _ in leaf}
    if classes != 2 or len(weighted) != 1:
        why = "then onnxruntime's label is 1 wherever the second score is positive, whatever the first one is"
        raise Rejected(f"{classes} classes of which {len(weighted)} have weights, supported is one of two: {why}")
    if len(base) > 1 or not _always_scored(_moved_to_first(forest), 1):
        raise Rejected(f"of two classes one has weights, and there are {len(base)} base values or leaves without one")
    positive = all(weight >= 0 for leaf in forest.leaves for _, weight in leaf)
    decision: Decision = "half" if positive else "sign"
    if weighted == {1}:
        trees = TreeEnsemble(_without_zeros(forest), 2)
        set_classes(scope, _emit(scope, trees, x.name, name), ClassScores(labels, transform, decision))
        return
    if transform == "PROBIT":
        raise Rejected("post_transform = 'PROBIT' of a single score: onnxruntime writes one of two probabilities")
    pair: Pair = "logistic" if transform == "LOGISTIC" else "complement" if positive else "negative"
    trees = TreeEnsemble(_without_zeros(forest), 1, base=base)
    set_classes(scope, _emit(scope, trees, x.name, name), ClassScores(labels, "NONE", decision, pair))


def _moved_to_first(forest: Forest) -> Forest:
    """The only target that has weights as target 0."""
    leaves = tuple(tuple((0, weight) for _, weight in leaf) for leaf in forest.leaves)
    return Forest(forest.splits, leaves, forest.roots)


def _base_values(scope: Scope) -> tuple[float, ...]:
    found = scope.attribute("base_values", None)
    wide = scope.attribute("base_values_as_tensor", None)
    values = _plain(wide) if wide is not None else list(found or [])
    return tuple(float(np.float32(value)) for value in values)


@ml_importer("TreeEnsembleRegressor")
def regressor(scope: Scope) -> None:
    targets = int(scope.attribute("n_targets", 1))
    aggregate = _text(scope.attribute("aggregate_function", "SUM"))
    _set_regression(scope, _old_forest(scope, "target"), targets, aggregate, transform_of(scope))


def _set_regression(scope: Scope, forest: Forest, targets: int, aggregate: str, transform: Transform) -> None:
    if aggregate not in _AGGREGATES:
        raise Rejected(f"aggregate_function = {aggregate!r}")
    base, x = _base_values(scope), features(scope)
    if len(base) not in (0, targets):
        raise Rejected(f"it has {len(base)} base values for {targets} targets")
    if targets > 1 and any(base) and not _always_scored(forest, targets):
        raise Rejected("a target may get a base value and no weight: 0 in onnxruntime, the base value in ONNX")
    forest = forest if aggregate in ("MIN", "MAX") else _without_zeros(forest)
    if any(not 0 <= target < targets for leaf in forest.leaves for target, _ in leaf):
        raise Rejected(f"a leaf has a weight for a target that isn't one of {targets}")
    trees = TreeEnsemble(forest, targets, cast(Aggregate, aggregate.lower()), base)
    name, shape = _emit(scope, trees, x.name, scope.name), (x.shape[0], targets)
    if targets > 1 and transform != "NONE":
        ends: Mapping[str, Op] = {"LOGISTIC": Logistic(), "SOFTMAX": Softmax()}
        if transform not in ends:
            raise Rejected(f"post_transform = {transform!r} of a regressor")
        name = _emit(scope, ends[transform], name, f"{scope.name}_{transform.lower()}")
    elif transform == "PROBIT":
        raise Rejected("post_transform = 'PROBIT' of a regressor")
    scope.set(Real(Placed(name, shape, identity(2))))


@ml_importer("TreeEnsemble")
def tree_ensemble(scope: Scope) -> None:
    """Version 5: children by number; where a child is a leaf it is a number of a leaf."""
    names = ("featureids", "truenodeids", "falsenodeids", "trueleafs", "falseleafs")
    columns = {name: name for name in names} | {"missing": "missing_value_tracks_true"}
    nodes = _Columns(scope, "nodes_", columns | {"modes": "modes", "splits": "splits"})
    leaf = _Columns(scope, "leaf_", {"targets": "targetids", "weights": "weights"})
    scope.ignore("nodes_hitrates")
    members = _members(scope, [int(mode) for mode in nodes["modes"]])
    count = nodes.size
    tests, yes, no = list[Question | None](), list[int](), list[int]()
    for index in range(count):
        number, limit = int(nodes["modes"][index]), float(nodes["splits"][index])
        if not 0 <= number < len(_MODES):
            raise Rejected(f"a node of mode {number}")
        name = "EQ" if _MODES[number] == "MEMBER" else _MODES[number]
        tests.append(
            Question(
                int(nodes["featureids"][index]),
                name,
                limit,
                bool(nodes["missing"][index]),
            )
        )
        for children, kind in ((yes, "true"), (no, "false")):
            child = int(nodes[f"{kind}nodeids"][index])
            children.append(count + child if nodes[f"{kind}leafs"][index] else child)
    leaves: list[Leaf] = [()] * count
    for target, weight in zip(leaf["targets"], leaf["weights"], strict=True):
        leaves.append(((int(target), float(np.float32(weight)) + 0.0),))
        tests.append(None)
    yes += [-1] * leaf.size
    no += [-1] * leaf.size
    _expand_members(tests, yes, no, leaves, members)
    if any(not 0 <= child < len(tests) for test, *pair in zip(tests, yes, no, strict=True) if test for child in pair):
        raise Rejected("a node's child doesn't exist")
    roots = [int(root) for root in scope.attribute("tree_roots", [])]
    forest = _built(roots, tests, yes, no, leaves)
    aggregate, transform = (int(scope.attribute(n, d)) for n, d in (("aggregate_function", 1), ("post_transform", 0)))
    if not 0 <= aggregate < len(_AGGREGATES) or not 0 <= transform < len(_TRANSFORMS):
        raise Rejected(f"aggregate_function = {aggregate} and post_transform = {transform}")
    targets, name = int(scope.attribute("n_targets", 1)), _TRANSFORMS_BY_NUMBER[transform]
    if targets > 1 and name != _TRANSFORMS[transform]:
        theirs = _TRANSFORMS[transform]
        raise Rejected(f"post_transform = {transform}, which is {name} in ONNX and {theirs} in onnxruntime")
    _set_regression(scope, forest, targets, _AGGREGATES[aggregate], name)


def _members(scope: Scope, modes: Sequence[int]) -> dict[int, list[float]]:
    """The set of each node that asks for one: the file has them one after the other, with NaN behind each."""
    found = scope.attribute("membership_values", None)
    values = _plain(found) if found is not None else []
    sets, current = list[list[float]](), list[float]()
    for value in values:
        if np.isnan(value):
            sets.append(current)
            current = []
        else:
            current.append(float(value))
    nodes = [index for index, mode in enumerate(modes) if _MODES[min(mode, len(_MODES) - 1)] == "MEMBER"]
    if len(sets) != len(nodes) or any(not 0 < len(each) <= MAX_MEMBERS for each in sets):
        raise Rejected("membership_values don't fit the nodes that need them")
    return dict(zip(nodes, sets, strict=True))


def _expand_members(
    tests: list[Question | None], yes: list[int], no: list[int], leaves: list[Leaf], members: Mapping[int, list[float]]
) -> None:
    """A test for a set is a chain of tests for its elements, which share what passes."""
    for node, values in members.items():
        test = tests[node]
        if test is None:
            continue
        end, at = no[node], node
        for number, value in enumerate(values):
            tests[at] = Question(test.feature, "EQ", value, test.nan)
            yes[at], no[at] = yes[node], end
            if number + 1 < len(values):
                no[at] = len(tests)
                at = len(tests)
                tests.append(None)
                leaves.append(())
                yes.append(-1)
                no.append(-1)
