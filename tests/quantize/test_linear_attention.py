"""Linear attention in front of quantisation: divisors of their own, which nothing rounds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.onnx_builder import OnnxBuilder
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize import quantize
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.prepare import prepared
from tinycompile.quantize.qdq import quantized_values

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

TOKENS, WIDTH = 6, 8


def model(ones: str, parts: str = "Slice", opset: int = 20) -> onnx.ModelProto:
    """Args:
    ones: "Pad" or "Concat", which append them to the values; "apart" for a product of their own.
    parts: how the divisor is taken from its product.
    """
    b, rng = OnnxBuilder(), np.random.default_rng(3)
    b.opset = opset
    x = b.input((1, TOKENS, WIDTH))
    q, k, v = (b.node("MatMul", x, b.constant(rng.normal(0, 0.7, (WIDTH, WIDTH)), np.float32)) for _ in range(3))
    q, k = b.node("Relu", q), b.node("Transpose", b.node("Relu", k), perm=[0, 2, 1])
    column = b.constant(np.ones((1, TOKENS, 1)), np.float32)
    if ones == "apart":
        divided, by = (b.node("MatMul", q, b.node("MatMul", k, right)) for right in (v, column))
    else:
        pads = b.constant([0, 0, 0, 0, 0, 1], np.int64), b.constant(1, np.float32)
        wide = b.node("Concat", v, column, axis=2) if ones == "Concat" else b.node("Pad", v, *pads)
        sums = b.node("MatMul", q, b.node("MatMul", k, wide))
        if parts == "Slice":
            ends, axis = [b.constant([n], np.int64) for n in (0, WIDTH, WIDTH + 1)], b.constant([2], np.int64)
            divided, by = (b.node("Slice", sums, ends[i], ends[i + 1], axis) for i in range(2))
        else:
            b.node("Split", sums, b.constant([WIDTH, 1], np.int64), outputs=2, axis=-1)
            divided, by = b.nodes[-1].output
    quotient = b.node("Div", divided, b.node("Add", by, b.constant(1e-15, np.float32)))
    b.output(b.node("MatMul", quotient, b.constant(rng.normal(0, 0.7, (WIDTH, WIDTH)), np.float32)))
    return b.model()


def graph_of(proto: onnx.ModelProto) -> FloatGraph:
    static = static_model(proto, "model")
    return prepared(static.proto, static.shapes)


def samples(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.standard_normal((1, TOKENS, WIDTH)).astype(np.float32)} for _ in range(count)]


FORMS = {"padded": ("Pad", "Slice", 20), "joined": ("Concat", "Split", 13), "apart": ("apart", "", 17)}


@pytest.mark.parametrize("form", FORMS)
def test_divisors_are_products_of_their_own(form: str) -> None:
    """What is divided isn't rounded, nor what it is divided by; a query's weights may add up to next to nothing."""
    proto, data = model(*FORMS[form]), samples(3)
    graph = graph_of(proto)
    for wanted, got in zip(float_outputs(proto, data), float_outputs(graph.model(), data), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=1e-5)
    kinds = [node.op_type for node in graph.nodes]
    assert not {"Pad", "Concat", "Slice", "Split"}.intersection(kinds)
    rounded, producers = quantized_values(graph), graph.producers()
    (division,) = [node for node in graph.nodes if node.op_type == "Div"]
    assert division.output[0] in rounded and not {*division.input}.intersection(rounded)
    divided, factor = producers[division.input[0]], producers[producers[division.input[1]].input[0]]
    by = producers[factor.input[0]] if factor.op_type == "Mul" else factor
    assert divided.op_type == by.op_type == "MatMul" and divided.input[1] in rounded
    assert rounded.count(divided.output[0]) == rounded.count(by.output[0]) == 0


def test_other_parts_stay() -> None:
    """Where the divisor is one of the columns of values, or another product's."""
    proto = model("Pad")
    ends = [
        t for t in proto.graph.initializer if t.name in {n.input[1] for n in proto.graph.node if n.op_type == "Slice"}
    ]
    for tensor in ends:
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(1, np.int64), tensor.name))
    assert "Pad" in [node.op_type for node in graph_of(proto).nodes]


def test_it_quantises(tmp_path: Path) -> None:
    """onnxruntime's quantize_static rounds divisors, too."""
    onnx.save(model("Pad"), str(tmp_path / "m.onnx"))
    np.savez(tmp_path / "calib.npz", x=np.concatenate([sample["x"] for sample in samples(24)]))
    assert quantize(tmp_path / "m.onnx", tmp_path / "calib.npz").sqnr > 25
