"""Pieces of tensors put at places that are computed, and tables looked up by coordinates, against onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds

SHAPE = (3, 4, 6)
PLACES = {"one axis": [-3, 2], "two axes": [[1, -1], [-2, 0]], "all axes": [[2, 3, -6]]}
"""Coordinates along the first axes; negative ones count from the end."""


def updating(places: list, dtype: str, quantised: bool, order: tuple[int, ...]) -> tuple[OnnxBuilder, str, str]:
    """ScatterND of what a function makes of a tensor, at a place from outside; the names of both inputs."""
    depth = np.array(places[0]).size
    b = OnnxBuilder()
    x, at = b.input(tuple(SHAPE[axis] for axis in np.argsort(order))), b.input((1, depth), dtype, "at")
    base = b.activation(x, 0.05, 3, "int8") if quantised else x
    turned = b.node("Transpose", base, perm=list(order))
    row = b.node("Slice", turned, b.constant([0] * depth), b.constant([1] * depth), b.constant(list(range(depth))))
    update = b.node("Reshape", b.node("Abs", row), b.constant([1, *SHAPE[depth:]]))
    y = b.node("ScatterND", turned, b.node("Cast", at, to=7), update)
    b.output(b.activation(y, 0.05, 3, "int8") if quantised else y)
    return b, x, at


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=str)
@pytest.mark.parametrize("case", PLACES)
def test_a_piece_at_a_computed_place(case, order, quantised):
    """It is written where the tensor is, in whatever order its axes are there."""
    b, x, at = updating(PLACES[case], "int32" if quantised else "int64", quantised, order)
    graph, _ = imported(b.model(), floats="none" if quantised else "all")
    agreement, rng = Agreement(b.model(), graph), np.random.default_rng(0)
    for place in PLACES[case]:
        index = np.array(place, "int32" if quantised else "int64").reshape(1, -1)
        value = rng.normal(0, 3, tuple(SHAPE[axis] for axis in np.argsort(order))).astype(np.float32)
        assert not agreement.difference({x: value, at: index})
    found = kinds(graph)
    assert found.count("dynamic_update_slice") == 1 and found.count("dequantize") == quantised


def test_equal_places_are_computed_once():
    b = OnnxBuilder()
    caches, at = [b.input((4, 6), name=name) for name in "abc"], b.input((1, 1), "int64", "at")
    row = b.input((1, 6), name="row")
    for cache in caches:
        b.output(b.node("ScatterND", cache, at, row))
    found = kinds(imported(b.model())[0])
    assert found.count("dynamic_update_slice") == 3 and found.count("select") == 1


@pytest.mark.parametrize("quantised", [False, True], ids=["float32", "int8"])
def test_a_table_by_computed_coordinates(quantised):
    """As PyTorch's exporter writes `table[position]`."""
    b, rng = OnnxBuilder(), np.random.default_rng(1)
    at = b.input((2, 1), "int64")
    if quantised:
        table = b.weights(rng.integers(-127, 128, (7, 4)).astype(np.int8), 0.05, 3)
        b.output(b.activation(b.node("GatherND", table, at), 0.06, -3))
    else:
        b.output(b.node("GatherND", b.constant(rng.normal(0, 1, (7, 4)), np.float32), at))
    graph, _ = imported(b.model())
    assert not Agreement(b.model(), graph).difference({at: np.array([[5], [-7]])})
