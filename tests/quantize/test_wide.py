"""16 bits for the tensors that cost most: worth it, without float32, and what onnxruntime computes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from tests.frontend.test_onnx_wide import is_integer
from tests.quantize.test_operators import Net
from tests.quantize.test_quantize import graph_of, samples
from tests.support.onnx_agreement import Agreement
from tests.support.onnx_builder import imported
from tinycompile.errors import UnsupportedError
from tinycompile.quantize import wide
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.prepare import with_biases
from tinycompile.quantize.ranges import rounded_to
from tinycompile.quantize.scales import Operand, fitting_scales
from tinycompile.quantize.ways import Attempt, attempts
from tinycompile.quantize.wide import Costs

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


@cache
def found(opset: int, last: str) -> tuple[Network, list[Attempt]]:
    """A net whose mean has few values, and what `high` makes of it."""
    b = Net()
    b.opset = opset
    x = b.node("Relu", b.layer(b.layer(b.input((1, 4, 6, 6)))))
    y = b.node("Gemm", b.node("Flatten", b.node("GlobalAveragePool", x)), b.weights(4, 3), b.weights(3))
    b.output(b.node(last, y) if last else y)
    graph = with_biases(simplified(graph_of(b.model())))
    data = samples(32, 4, 6, 6)
    return Network(graph, data[:8]), attempts(graph, data[:16], data[16:], "auto", "high", None, False)


@pytest.mark.parametrize("opset", [17, 21])
def test_the_last_tensors_get_16_bits_and_nothing_floats(opset):
    network, (best, narrow, *_) = found(opset, "")
    assert best.wide and best.wide <= {node.output[0] for node in network.graph.nodes if node.op_type != "Conv"}
    assert best.judged(samples(64, 4, 6, 6)[32:]) > narrow.judged(samples(64, 4, 6, 6)[32:]) + 3
    assert best.trial.wide == tuple(sorted(best.wide, key=list(best.parameters).index)) and not narrow.wide
    assert 0 < best.trial.wide_part < 0.2
    proto = best.model.proto
    (kind,) = {node.domain for node in proto.graph.node if node.output[0] == f"{best.trial.wide[-1]}_quantized"}
    assert kind == ("" if opset == 21 else "com.microsoft")
    graph, _ = imported(proto)
    assert is_integer(graph)
    for sample in samples(3, 4, 6, 6):
        assert not Agreement(proto, graph).difference(sample)


def test_a_softmax_of_16_bits():
    _, (best, *_) = found(17, "Softmax")
    kinds = {node.output[0]: node.op_type for node in best.network.graph.nodes}
    assert "Softmax" in {kinds[name] for name in best.wide}
    graph, _ = imported(best.model.proto)
    assert is_integer(graph)
    assert not any(Agreement(best.model.proto, graph).difference(sample) for sample in samples(3, 4, 6, 6))


def test_a_model_that_is_refused_gets_none(monkeypatch):
    """Whoever compiles it is told why; quantising it is no error."""
    network, (best, *_) = found(17, "")

    def refuse(*_arguments, **_options):
        raise UnsupportedError([("Conv 'c'", "a reason")])

    monkeypatch.setattr(wide, "import_model", refuse)
    setting = Setting(best.parameters)
    assert wide.widened(network, setting, best.ranges.extremes, lambda _: best.model) is setting


def test_the_part_of_the_products():
    network, (best, *_) = found(17, "")
    (gemm,) = [node.output[0] for node in network.graph.nodes if node.op_type == "Gemm"]
    costs, total = Costs(network), 2 * 36 * 4 * 36 + 36 * 4 + 36 * 4 + 12
    assert costs.part(frozenset()) == 0 and costs.part(frozenset(best.parameters)) == 1
    assert costs.part(frozenset([gemm])) == pytest.approx(12 / total, rel=0.5)


def test_sums_of_16_bits_have_room():
    """Only the bias is bounded, and numbers of 16 bits go as far as they do."""
    operand, weights = Operand(0.001, 0, 16), np.full((1, 5000), 0.5, np.float32)
    scale = np.full(1, 0.5 / 127, np.float32)
    assert operand.reach == 32768 and replace(operand, bits=8).reach == 128
    assert fitting_scales(weights, 0, scale, np.zeros(1), operand) == scale
    assert fitting_scales(weights, 0, scale, np.full(1, 1e5), operand) > scale
    value = np.array([-40, -32.768, 0.0016, 40], np.float32)
    np.testing.assert_allclose(rounded_to(value, 0.001, 0, 16), [-32.768, -32.768, 0.002, 32.767], rtol=1e-6)
