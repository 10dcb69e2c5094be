"""Normalisations of floats that are written out, as one operator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile import interpreter
from tinycompile.ir import Graph
from tinycompile.ops.layer_normalization import LayerNormalization
from tinycompile.passes.fold_constants import fold_constants
from tinycompile.passes.fuse_norms import fuse_norms

SHAPE = (2, 5, 6)
Inverse = Callable[[OnnxBuilder, str, str], str]


def number(b: OnnxBuilder, value: float) -> str:
    return b.constant(value, np.float32)


INVERSES: dict[str, Inverse] = {
    "quotient": lambda b, x, p: b.node("Div", x, b.node("Sqrt", p)),
    "power": lambda b, x, p: b.node("Div", x, b.node("Pow", p, number(b, 0.5))),
    "reciprocal": lambda b, x, p: b.node("Mul", b.node("Reciprocal", b.node("Sqrt", p)), x),
    "inverse power": lambda b, x, p: b.node("Mul", x, b.node("Pow", p, number(b, -0.5))),
    "one by it": lambda b, x, p: b.node("Mul", x, b.node("Div", number(b, 1), b.node("Sqrt", p))),
}


def written(
    inverse: str = "quotient", *, centred: bool = True, product: bool = False, affine: str = "Mul Add", axis: int = -1
) -> OnnxBuilder:
    """Args:
    product: the square is one. affine: operators behind, in this order.
    """
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    b.opset = 13
    x = b.input(SHAPE)
    x = b.node("Sub", x, b.node("ReduceMean", x, axes=[axis])) if centred else x
    square = b.node("Mul", x, x) if product else b.node("Pow", x, number(b, 2))
    power = b.node("Add", b.node("ReduceMean", square, axes=[axis]), number(b, 1e-3))
    y = INVERSES[inverse](b, x, power)
    for kind in affine.split():
        y = b.node(kind, b.constant(rng.normal(0, 1, SHAPE[-1:]), np.float32), y)
    b.output(y)
    return b


def graph_of(b: OnnxBuilder) -> Graph:
    return fold_constants(imported(b.model(), floats="all")[0])


def check(b: OnnxBuilder, *, centred: bool = True) -> Graph:
    """One normalisation is left that computes the same; returns all that is left."""
    graph = graph_of(b)
    fused = fuse_norms(graph)
    (norm,) = [node.op for node in fused.nodes if isinstance(node.op, LayerNormalization)]
    assert norm.centred == centred and norm.epsilon == np.float32(1e-3)
    x = np.random.default_rng(1).normal(0.3, 2, SHAPE).astype(np.float32)
    wanted, found = (interpreter.run(each, [x])[graph.outputs[0]] for each in (graph, fused))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
    return fused


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("inverse", INVERSES)
def test_forms(inverse: str, centred: bool) -> None:
    fused = check(written(inverse, centred=centred, product=inverse == "power"), centred=centred)
    assert kinds(fused) == ["layer_normalization"]


@pytest.mark.parametrize(("affine", "left"), [("", []), ("Mul", []), ("Add", []), ("Add Mul", ["mul"])])
def test_what_is_behind(affine: str, left: list[str]) -> None:
    """A factor and a summand, in this order; a factor of a sum isn't the norm's."""
    assert kinds(check(written(affine=affine))) == ["layer_normalization", *left]


def test_other_chains_stay() -> None:
    """Over another axis, in other ways, or where somebody reads what is between."""
    assert "layer_normalization" not in kinds(fuse_norms(graph_of(written(axis=1))))
    read = written()
    read.output(next(node.output[0] for node in read.nodes if node.op_type == "Sqrt"))
    assert "layer_normalization" not in kinds(fuse_norms(graph_of(read)))
    other = written()
    (power,) = (node for node in other.nodes if node.op_type == "Pow")
    power.input[1] = number(other, 3)
    assert "layer_normalization" not in kinds(fuse_norms(graph_of(other)))
