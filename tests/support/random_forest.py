"""Random tree ensembles as ONNX has them, rows for them, and what onnxruntime makes of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from tinycompile import interpreter
from tinycompile.frontend.onnx import import_onnx
from tinycompile.ir import Graph

ML = "ai.onnx.ml"
MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
LIMITS = np.array([-np.inf, -3.5, -1, -1e-40, -0.0, 0.0, 1e-40, 0.5, 1, 2.25, np.inf], np.float32)
"""Thresholds and features: few, so that they meet."""


def ml_model(
    node: Any, features: int, results: Sequence[tuple[str, int]], version: int = 3, kind: int = 1
) -> onnx.ModelProto:
    """A model of one node that reads "x", (rows, features) of an element type; results by name and element type."""
    x = helper.make_tensor_value_info("x", kind, ["rows", features])
    outputs = [helper.make_tensor_value_info(name, code, None) for name, code in results]
    graph = helper.make_graph([node], "ml", [x], outputs)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, version)], ir_version=8
    )


def grown(rng: np.random.Generator, features: int, modes: Sequence[str], depth: int, tree: int) -> dict[str, list[Any]]:
    """The nodes of a tree, in columns."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in "treeids nodeids featureids modes values truenodeids falsenodeids missing_value_tracks_true".split()
    }

    def grow(left: int) -> int:
        number = len(columns["nodeids"])
        leaf = left == 0 or (left < depth and rng.random() < 0.3)
        row = [tree, number, int(rng.integers(features)), "LEAF" if leaf else str(rng.choice(modes))]
        for name, value in zip(columns, [*row, float(rng.choice(LIMITS)), 0, 0, int(rng.random() < 0.4)], strict=True):
            columns[name].append(value)
        if not leaf:
            columns["truenodeids"][number] = grow(left - 1)
            columns["falsenodeids"][number] = grow(left - 1)
        return number

    grow(depth)
    return columns


def ensemble(
    rng: np.random.Generator,
    kind: str,
    targets: int,
    *,
    trees: int = 6,
    features: int = 5,
    depth: int = 4,
    modes: Sequence[str] = MODES,
    weighted: Sequence[int] | None = None,
    dense: bool = True,
    low: float = -1.0,
    **attributes: Any,
) -> onnx.ModelProto:
    """A TreeEnsembleRegressor or TreeEnsembleClassifier.

    Args:
        kind: "Regressor" or "Classifier".
        weighted: targets that leaves have weights for; all by default.
        dense: every leaf has weights for all of them, else for one.
        low: the smallest weight; the largest is 1.
    """
    role, nodes = ("target" if kind == "Regressor" else "class"), dict[str, list[Any]]()
    weights: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(trees):
        columns = grown(rng, features, modes, depth, tree)
        for name, column in columns.items():
            nodes.setdefault(f"nodes_{name}", []).extend(column)
        for node, mode in zip(columns["nodeids"], columns["modes"], strict=True):
            ids = list(range(targets)) if weighted is None else list(weighted)
            for target in (ids if dense else [int(rng.choice(ids))]) if mode == "LEAF" else []:
                weight = 0.0 if rng.random() < 0.1 and low <= 0 else float(np.float32(rng.uniform(low, 1)))
                for name, value in zip(weights, (tree, node, target, weight), strict=True):
                    weights[name].append(value)
    named: Mapping[str, Any] = {f"{role}_{name}": column for name, column in weights.items()}
    results = [("scores", 1)] if role == "target" else [("label", 7), ("scores", 1)]
    if role == "target":
        attributes["n_targets"] = targets
    else:
        attributes.setdefault("classlabels_int64s", [3 * i - 2 for i in range(targets)])
    names = [name for name, _ in results]
    node = helper.make_node(f"TreeEnsemble{kind}", ["x"], names, domain=ML, **nodes, **named, **attributes)
    return ml_model(node, features, results)


def rows(rng: np.random.Generator, count: int, features: int = 5) -> np.ndarray:
    """Thresholds, numbers beside them, NaN of both signs."""
    nan = np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    near = np.concatenate([np.nextafter(LIMITS, np.float32(side)) for side in (-np.inf, np.inf)])
    return rng.choice(np.concatenate([LIMITS, near, nan]), (count, features)).astype(np.float32)


def by_onnxruntime(model: onnx.ModelProto, x: np.ndarray) -> list[np.ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(result) for result in session.run(None, {session.get_inputs()[0].name: x})]


def imported(model: onnx.ModelProto, path: Path, count: int) -> Graph:
    """With a batch of this size."""
    path.write_bytes(model.SerializeToString())
    (value,) = model.graph.input
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
    return import_onnx(path, "model", {value.name: (count, *sizes)})


def by_us(graph: Graph, x: np.ndarray) -> list[np.ndarray]:
    values = interpreter.run(graph, [x])
    return [values[name] for name in graph.outputs]


def new_ensemble(rng: np.random.Generator, targets: int, **attributes: Any) -> onnx.ModelProto:
    """A TreeEnsemble of version 5, with sets, which are of integers in onnxruntime."""
    count, features = 12, 4
    modes = rng.integers(0, 7, count)
    sets = [[*(float(n) for n in rng.integers(1, 9, int(rng.integers(1, 4)))), np.nan] for mode in modes if mode == 6]
    members = [value for each in sets for value in each]
    split = np.where(modes == 6, 0, rng.choice(LIMITS, count)).astype(np.float32)
    children: dict[str, list[int]] = {name: [] for name in ("truenodeids", "trueleafs", "falsenodeids", "falseleafs")}
    leaves = 9
    for node in range(count):
        for side, child in (("true", 2 * node + 1), ("false", 2 * node + 2)):
            is_leaf = child >= count
            children[f"{side}nodeids"].append(int(rng.integers(leaves)) if is_leaf else child)
            children[f"{side}leafs"].append(int(is_leaf))
    node = helper.make_node(
        "TreeEnsemble",
        ["x"],
        ["scores"],
        domain=ML,
        n_targets=targets,
        tree_roots=[0],
        nodes_featureids=rng.integers(0, features, count).tolist(),
        nodes_modes=numpy_helper.from_array(modes.astype(np.uint8)),
        nodes_splits=numpy_helper.from_array(split),
        nodes_missing_value_tracks_true=rng.integers(0, 2, count).tolist(),
        **{f"nodes_{name}": column for name, column in children.items()},
        leaf_targetids=rng.integers(0, targets, leaves).tolist(),
        leaf_weights=numpy_helper.from_array(rng.uniform(-1, 1, leaves).astype(np.float32)),
        **({"membership_values": numpy_helper.from_array(np.array(members, np.float32))} if members else {}),
        **attributes,
    )
    return ml_model(node, features, [("scores", 1)], version=5)
