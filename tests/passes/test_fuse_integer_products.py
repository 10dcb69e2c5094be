"""Integer products that become floats at once."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import OnnxBuilder, imported, kinds
from tinycompile import interpreter
from tinycompile.ir import Graph
from tinycompile.passes.fuse_integer_products import fuse_integer_products


def network(*, shown: str = "", wide_bias: bool = False, activation: str = "") -> onnx.ModelProto:
    """A layer as onnxruntime quantises it dynamically; `shown` is an output, too."""
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    parts = [b.name("part") for _ in range(3)]
    b.nodes.append(onnx.helper.make_node("DynamicQuantizeLinear", [b.input((4, 16))], parts))
    scale = b.node("Mul", parts[1], b.constant(rng.uniform(0.01, 0.02, 6), np.float32))
    weights, zero = b.constant(rng.integers(-128, 128, (16, 6)), np.int8), b.constant(0, np.int8)
    sums = b.node("MatMulInteger", parts[0], weights, parts[2], zero)
    floats = b.node("Cast", sums, to=1)
    bias = b.constant(rng.normal(size=(4, 6) if wide_bias else 6), np.float32)
    y = b.node("Add", b.node("Mul", floats, scale), bias)
    bounds = [b.constant(bound, np.float32) for bound in (-0.5, 1.0)] if activation == "Clip" else []
    b.output(b.node(activation, y, *bounds) if activation else y)
    if shown:
        b.output({"sums": sums, "floats": floats}[shown], {"sums": "int32", "floats": "float32"}[shown])
    return b.model()


def graph_of(model: onnx.ModelProto) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return imported(model, floats="islands")[0]


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, set()),
        ({"activation": "Relu"}, set()),
        ({"activation": "Clip"}, set()),
        ({"activation": "Relu", "wide_bias": True}, {"add", "relu"}),
        ({"wide_bias": True}, {"add"}),
        ({"shown": "floats"}, {"cast", "mul", "add"}),
        ({"shown": "sums"}, {"cast", "mul", "add"}),
    ],
    ids=["alone", "Relu", "Clip", "Relu behind a wide bias", "wide bias", "floats are shown", "sums are shown"],
)
def test_sums_that_nothing_else_reads(options, left):
    model = network(**options)
    graph = graph_of(model)
    fused = fuse_integer_products(graph)
    after = kinds(fused)[kinds(fused).index("matmul_integer") + 1 :]
    assert set(after) & {"cast", "mul", "add", "relu", "elementwise_function"} == left
    x = np.random.default_rng(1).normal(0, 2, (4, 16)).astype(np.float32)
    assert not Agreement(model, graph).difference({"x": x})
    before, behind = interpreter.run(graph, [x]), interpreter.run(fused, [x])
    for one, other in zip(graph.outputs, fused.outputs, strict=True):
        np.testing.assert_array_equal(before[one], behind[other])
