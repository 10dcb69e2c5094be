"""Normalisations that are written out become one operator that computes the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from tests.support.onnx_builder import OnnxBuilder
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize.channels import groups_of, scale_groups
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.norms import spell_norms
from tinycompile.quantize.prepare import prepared, with_known_values

SHAPE = (2, 3, 4, 6)


class Chains:
    """Nodes of a normalisation over the last axes of x, (2, 3, 4, 6)."""

    def __init__(self, opset: int = 13, axes: tuple[int, ...] = (-1,)) -> None:
        self.b, self.rng, self.axes = OnnxBuilder(), np.random.default_rng(0), axes
        self.b.opset = opset
        self.x = self.b.input(SHAPE, name="x")

    def number(self, value: float) -> str:
        return self.b.constant(value, np.float32)

    def row(self, *shape: int) -> str:
        return self.b.constant(self.rng.normal(1, 0.3, shape or (6,)), np.float32)

    def mean(self, x: str) -> str:
        if self.b.opset < 18:
            return self.b.node("ReduceMean", x, axes=list(self.axes), keepdims=1)
        return self.b.node("ReduceMean", x, self.b.constant(np.array(self.axes)), keepdims=1)

    def raised(self, x: str) -> str:
        return self.b.node("Add", self.mean(x), self.number(1e-3))

    def distance(self) -> str:
        return self.b.node("Sub", self.x, self.mean(self.x))

    def affine(self, y: str) -> str:
        return self.b.node("Add", self.b.node("Mul", y, self.row()), self.row())


def graph_of(c: Chains) -> FloatGraph:
    model = c.b.model()
    return with_known_values(model, static_model(model, "test").shapes)


def divided(c: Chains) -> str:
    d = c.distance()
    return c.affine(c.b.node("Div", d, c.b.node("Sqrt", c.raised(c.b.node("Pow", d, c.number(2))))))


def apart(c: Chains) -> str:
    """The distance is computed twice, and the factor comes first."""
    square = c.b.node("Mul", d := c.distance(), d)
    root = c.b.node("Pow", c.raised(square), c.number(0.5))
    return c.b.node("Mul", c.row(), c.b.node("Mul", c.b.node("Reciprocal", root), c.distance()))


def powers(c: Chains) -> str:
    inverse = c.b.node("Pow", c.raised(c.b.node("Pow", d := c.distance(), c.number(2))), c.number(-0.5))
    return c.b.node("Mul", inverse, d)


def gained(c: Chains) -> str:
    mean = c.mean(c.x)
    d = c.b.node("Sub", c.x, mean)
    inverse = c.b.node("Reciprocal", c.b.node("Sqrt", c.raised(c.b.node("Mul", d, d))))
    gain = c.b.node("Mul", inverse, c.row())
    return c.b.node("Add", c.b.node("Mul", c.x, gain), c.b.node("Sub", c.row(), c.b.node("Mul", mean, gain)))


def root_mean_square(c: Chains) -> str:
    root = c.b.node("Sqrt", c.raised(c.b.node("Mul", c.x, c.x)))
    return c.b.node("Mul", c.b.node("Mul", c.x, c.b.node("Div", c.number(1), root)), c.row())


@pytest.mark.parametrize("write", [divided, apart, powers, gained, root_mean_square])
@pytest.mark.parametrize("axes", [(-1,), (2, 3)])
@pytest.mark.parametrize("opset", [13, 18])
def test_what_exporters_write(write: Callable[[Chains], str], axes: tuple[int, ...], opset: int) -> None:
    """Rows of one axis or of several, whose factors may be for the last one alone: those stay behind."""
    c = Chains(opset, axes)
    y = write(c)
    c.b.output(c.b.node("ReduceMax", c.b.node("Split", y, outputs=2, axis=0), axes=[1]) if opset < 18 else y)
    graph = graph_of(c)
    spell_norms(graph)
    kinds = [node.op_type for node in graph.nodes]
    wanted = "RMSNormalization" if write is root_mean_square else "LayerNormalization"
    if not (write is gained and len(axes) > 1):
        assert kinds.count(wanted) == 1 and not {"Sqrt", "Pow", "ReduceMean", "Sub"}.intersection(kinds)
        assert graph.opset >= (23 if write is root_mean_square else 17)
        assert ("Reshape" in kinds) == (len(axes) > 1)
    x = c.rng.normal(0.5, 2, SHAPE).astype(np.float32)
    (expected,), (got,) = (ReferenceEvaluator(m).run(None, {"x": x}) for m in (c.b.model(), graph.model()))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("why", ["axis", "read", "other distance", "rows"])
def test_what_is_something_else(why: str) -> None:
    c = Chains(axes=(1,) if why == "axis" else (-1,))
    d = c.distance()
    squares = c.b.node("Mul", d, d)
    other = c.b.node("Sub", c.x, c.row()) if why == "other distance" else d
    c.b.output(c.b.node("Mul", c.b.node("Div", other, c.b.node("Sqrt", c.raised(squares))), c.row(4, 1)))
    if why == "read":
        c.b.output(squares)
    graph = graph_of(c)
    before = [node.op_type for node in graph.nodes]
    spell_norms(graph)
    kinds = [node.op_type for node in graph.nodes]
    assert kinds == (["LayerNormalization", "Mul"] if why == "rows" else before)


def test_channels_behind_columns_that_are_reshaped() -> None:
    """An instance normalisation's columns are pixels, which a convolution's operand has no factors for."""
    c = Chains(18, (2, 3))
    y = c.b.node("InstanceNormalization", c.x, c.row(3), c.row(3))
    y = c.b.node("Conv", c.b.node("BatchNormalization", y, *(c.row(3) for _ in range(4))), c.row(3, 1, 1, 1), group=3)
    c.b.output(c.b.node("Conv", c.b.node("Relu", y), c.row(5, 3, 1, 1)))
    static = static_model(c.b.model(), "test")
    graph = prepared(static.proto, static.shapes)
    assert "LayerNormalization" in {node.op_type for node in graph.nodes}
    groups = groups_of(graph)
    scale_groups(graph, groups, np.where(groups.free, 2.0, 1.0))
    x = c.rng.normal(0.5, 2, SHAPE).astype(np.float32)
    (expected,), (got,) = (ReferenceEvaluator(m).run(None, {"x": x}) for m in (c.b.model(), graph.model()))
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
