"""The parts of the quantiser: what must change nothing changes nothing, what should help helps."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.e2e.test_onnx import small_cnn
from tests.support.onnx_builder import OnnxBuilder
from tests.support.quantized_candidate import Candidate, observed_in, output_sqnr, parameters_of
from tinycompile.frontend.onnx_file import static_model
from tinycompile.quantize import shortened
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.fitting import fitted
from tinycompile.quantize.float_graph import FloatGraph
from tinycompile.quantize.measure import accuracy, agreement, float_outputs, sqnr
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.prepare import prepared, with_biases
from tinycompile.quantize.qdq import to_qdq
from tinycompile.quantize.ranges import METHODS, range_of, scale_of

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


def samples(count: int, *shape: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [{"x": rng.normal(0, 1, (1, *shape)).astype(np.float32)} for _ in range(count)]


def graph_of(model: onnx.ModelProto) -> FloatGraph:
    return prepared(model, static_model(model, "test").shapes)


def close(a: onnx.ModelProto, b: onnx.ModelProto, data: list[dict[str, np.ndarray]]) -> None:
    for first, second in zip(float_outputs(a, data), float_outputs(b, data), strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5)


def test_preparing_changes_nothing():
    model, data = small_cnn(), samples(5, 3, 12, 12)
    graph = graph_of(model)
    assert "BatchNormalization" not in {node.op_type for node in graph.nodes}
    close(model, graph.model(), data)


def test_matmul_add_and_constants_per_channel():
    b, rng = OnnxBuilder(), np.random.default_rng(1)
    c = lambda *shape: b.constant(rng.normal(0, 1, shape), np.float32)  # noqa: E731
    y = b.node("Conv", b.input((1, 3, 6, 6)), c(4, 3, 3, 3))
    y = b.node("Add", b.node("Mul", y, c(1, 4, 1, 1)), c(4, 1, 1))
    y = b.node(
        "Identity", b.node("BatchNormalization", b.node("Relu", y), *[b.constant(np.full(4, 0.5), np.float32)] * 4)
    )
    y = b.node("Add", b.node("MatMul", b.node("Flatten", y), c(64, 5)), c(5))
    b.output(y)
    graph = graph_of(b.model())
    kinds = [node.op_type for node in graph.nodes]
    assert kinds == ["Conv", "Relu", "Conv", "Flatten", "Gemm"], kinds
    close(b.model(), graph.model(), samples(3, 3, 6, 6))


def uneven_model() -> onnx.ModelProto:
    """Channels of very different ranges between two layers."""
    b, rng = OnnxBuilder(), np.random.default_rng(2)
    factors = np.array([1, 0.02, 30, 0.3, 5, 0.01])
    first = rng.normal(0, 1, (6, 3, 3, 3)) * factors.reshape(-1, 1, 1, 1)
    y = b.node(
        "Relu", b.node("Conv", b.input((1, 3, 8, 8)), b.constant(first, np.float32), b.constant(factors, np.float32))
    )
    second = rng.normal(0, 1, (4, 6, 1, 1)) / factors.reshape(1, -1, 1, 1)
    b.output(b.node("Conv", y, b.constant(second, np.float32), b.constant(np.zeros(4), np.float32)))
    return b.model()


def best_of(graph: FloatGraph, data: list[dict[str, np.ndarray]], model: onnx.ModelProto, rounded=None) -> float:
    candidate = Candidate.of(to_qdq(graph, parameters_of(observed_in(graph, data)), rounded), "test", {})
    return output_sqnr(candidate, float_outputs(model, data), data)


def test_equalisation_is_exact_and_helps():
    model, data = uneven_model(), samples(8, 3, 8, 8)
    graph = graph_of(model)
    network = Network(graph, data)
    even = equalized(graph, network.floats, 0.5)
    close(model, even.model(), data)
    assert best_of(even, data, model) > best_of(graph, data, model) + 6


def test_biases_and_rounding_together_help():
    """On samples that nothing was fitted to."""
    model, data, others = small_cnn(1), samples(24, 3, 12, 12), samples(48, 3, 12, 12)[24:]
    graph = with_biases(graph_of(model))
    network = Network(graph, data)
    ways, judged = ((False, False), (False, True), (True, True)), network.on(others)
    plain, corrected, together = (
        judged.noise(judged.run(fitted(network, Setting({}), weights=weights, biases=biases).setting))
        for weights, biases in ways
    )
    assert plain > 1.2 * corrected and corrected > together
    result = fitted(network, Setting(parameters_of(observed_in(graph, data))))
    assert set(result.rounded) == {n.output[0] for n in graph.nodes if n.op_type in ("Conv", "Gemm")}
    assert all(w.dtype == np.int8 for w in result.rounded.values())


@pytest.mark.parametrize("method", METHODS)
def test_ranges(method):
    """Outliers: percentile and least squared error cut them off."""
    b = OnnxBuilder()
    b.output(b.node("Relu", b.input((1, 4000))))
    x = np.random.default_rng(3).normal(0, 1, (1, 4000)).astype(np.float32)
    x[0, 0] = 300
    data = [{"x": x}] * 3
    low, high = range_of(observed_in(graph_of(b.model()), data)["x"], method)
    if method == "minmax":
        assert (low, high) == (float(x.min()), 300)
    assert low <= 0 <= high <= 300


def test_scales():
    scale, zero_point = scale_of(0.0, 255.0)
    assert (scale, zero_point) == (1.0, -128)
    assert scale_of(-1.0, 0.0)[1] == 127
    assert scale_of(0.0, 0.0) == (1 / 256, 0)
    scale, zero_point = scale_of(0.5, 3.0)
    assert zero_point == -128, "0 is always one of the numbers"


def test_measures():
    rng = np.random.default_rng(4)
    x = rng.normal(0, 1, (50, 8))
    assert sqnr(x, x) == float("inf")
    assert sqnr(x, x + 0.1 * np.sign(x)) == pytest.approx(20 + 10 * np.log10(np.mean(x**2)), abs=1e-6)
    labels = x.argmax(1)
    assert accuracy(x, -x, rng.normal(0, 1, (50, 3)), labels).float_value == 1
    assert agreement(x, x) == 1
    anomalies = np.arange(50) % 2
    rebuilt = x + anomalies[:, None]
    found = accuracy(rebuilt, x, x, anomalies)
    assert (found.metric, found.float_value, found.int8_value) == ("AUC", 1.0, 0.5)


def pattern_model(slope: float, negation: str, factor: float) -> onnx.ModelProto:
    """A PReLU and a hard sigmoid, each in pieces."""
    b, rng = OnnxBuilder(), np.random.default_rng(4)
    c = lambda *shape: b.constant(rng.normal(0, 1, shape), np.float32)  # noqa: E731
    number = lambda value: b.constant(value, np.float32)  # noqa: E731
    x = b.node("Conv", b.input((1, 3, 6, 6)), c(4, 3, 3, 3), c(4))
    minus = b.node("Neg", x) if negation == "Neg" else b.node("Mul", x, number(-1.0))
    x = b.node("Sub", b.node("Relu", x), b.node("Mul", b.node("Relu", minus), number(slope)))
    gate = b.node("Conv", x, c(4, 4, 1, 1), c(4))
    if factor:
        b.output(b.node("Mul", b.node("Clip", gate, number(0.0), number(6.0)), number(factor)))
    else:
        b.output(b.node("HardSigmoid", gate, alpha=0.3, beta=0.4))
    return b.model()


@pytest.mark.parametrize(
    ("negation", "factor", "kinds"),
    [
        ("Neg", 0, ["Conv", "PRelu", "Conv", "Clip"]),
        ("Mul", 1 / 5, ["Conv", "PRelu", "Conv", "Clip"]),
        ("Mul", -1 / 6, ["Conv", "PRelu", "Conv", "Clip", "Mul"]),
    ],
)
def test_functions_in_pieces_become_one(negation: str, factor: float, kinds: list[str]) -> None:
    model = pattern_model(0.25, negation, factor)
    graph = simplified(graph_of(model))
    assert [node.op_type for node in graph.nodes] == kinds
    close(model, graph.model(), samples(3, 3, 6, 6))


def test_tensors_that_are_known_are_quantised_as_operands() -> None:
    """As positions that are added to tokens: the sum isn't left in float32."""
    b, rng = OnnxBuilder(), np.random.default_rng(4)
    c = lambda *shape: b.constant(rng.normal(0, 1, shape), np.float32)  # noqa: E731
    x = b.node("MatMul", b.node("Add", b.node("Relu", b.input((1, 5, 6))), c(1, 5, 6)), c(6, 4))
    b.output(b.node("Mul", x, b.constant(0.5, np.float32)))
    model, data = b.model(), samples(20, 5, 6)
    graph = graph_of(model)
    candidate = Candidate.of(to_qdq(graph, parameters_of(observed_in(graph, data))), "test", {})
    computed = [node for node in candidate.graph.nodes if node.op.kind not in ("quantize", "dequantize")]
    assert {candidate.graph.types[node.outputs[0]].dtype.name for node in computed} == {"int8"}
    assert output_sqnr(candidate, float_outputs(model, data), data) > 30


def test_long_names_are_shown_by_their_ends() -> None:
    path = "torch.nn.modules.container.Sequential/torch.nn.modules.conv.Conv2d_0;1"
    assert shortened("conv/weights") == "conv/weights"
    assert len(shortened(path)) == 40 and shortened(path).startswith("...") and path.endswith(shortened(path)[3:])
