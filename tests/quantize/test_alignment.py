"""Values scaled to ranges that are given, and ranges with room: exact, measured, and only where it is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.quantize.test_quantize import close, graph_of, samples
from tests.support.onnx_builder import OnnxBuilder
from tests.support.quantized_candidate import Candidate, observed_in, output_sqnr, parameters_of
from tinycompile.quantize.alignment import aligned, best_factor, free_classes
from tinycompile.quantize.headroom import BUDGET, roomy
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.qdq import Parameters, to_qdq
from tinycompile.quantize.ranges import Observed, range_of, scale_of

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


def residual(factor: float = 1.0) -> onnx.ModelProto:
    """A residual stream, a concatenation, a mean and a head; its layers' results multiplied by a factor."""
    b, rng = OnnxBuilder(), np.random.default_rng(2)

    def layer(x: str, *shape: int, gain: float = 1.0, shift: float = 1.0, **attributes: Any) -> str:
        weights = rng.normal(0, 1 / np.sqrt(np.prod(shape[1:])), shape)
        bias = rng.normal(0, 0.3, shape[0])
        kind = "Conv" if len(shape) == 4 else "Gemm"
        constants = b.constant(weights * gain, np.float32), b.constant(bias * shift, np.float32)
        return b.node(kind, x, *constants, **attributes)

    pads = [1, 1, 1, 1]
    x = b.node("Relu", layer(b.input((1, 3, 8, 8)), 8, 3, 3, 3, gain=factor, shift=factor, pads=pads))
    y = b.node("Relu", layer(x, 8, 8, 3, 3, shift=factor, pads=pads))
    x = b.node("Relu", b.node("Add", x, layer(y, 8, 1, 3, 3, shift=factor, pads=pads, group=8)))
    x = b.node("MaxPool", b.node("Concat", x, b.node("LeakyRelu", y), axis=1), kernel_shape=[2, 2], strides=[2, 2])
    b.output(layer(b.node("Flatten", x), 5, 256, gain=1 / factor, transB=1))
    return b.model()


def parameters(model: onnx.ModelProto, data: list[dict[str, np.ndarray]]) -> tuple[Parameters, dict[str, Observed]]:
    graph = graph_of(model)
    found = observed_in(graph, data)
    return parameters_of(found), found


def noise(model: onnx.ModelProto, pinned: Parameters, data: list[dict[str, np.ndarray]]) -> float:
    """SQNR in dB with given ranges."""
    graph = graph_of(model)
    graph = aligned(graph, observed_in(graph, data), pinned)
    close(model, graph.model(), data)
    candidate = Candidate.of(to_qdq(graph, pinned), "test", {"x": (1, 3, 8, 8)})
    return output_sqnr(candidate, float_outputs(model, data), data)


@pytest.mark.parametrize("factor", [0.2, 1.5, 7.0])
def test_a_residual_stream_is_brought_back_into_its_ranges(factor: float) -> None:
    """All of it by one factor, which is exact: the sum, the concatenation, and through the Flatten to the head."""
    data = samples(12, 3, 8, 8)
    pinned, _ = parameters(residual(), data)
    assert noise(residual(factor), pinned, data) > noise(residual(), pinned, data) - 0.7


def test_what_only_one_factor_can_change_is_one_class() -> None:
    graph = graph_of(residual())
    (stream,) = free_classes(graph)
    assert {node.output[0] for node in graph.nodes[:-1]} == stream


def functions() -> onnx.ModelProto:
    """What has no factor: an operand of HardSwish, Clip and Mul, a sum with a constant, a bias that is computed."""
    b, rng = OnnxBuilder(), np.random.default_rng(5)
    w = lambda *shape: b.constant(rng.normal(0, 0.5, shape), np.float32)  # noqa: E731
    x = b.input((1, 4))
    hard = b.node("HardSwish", b.node("Gemm", x, w(4, 4)))
    clipped = b.node("Clip", b.node("Gemm", hard, w(4, 4)), b.constant(0, np.float32), b.constant(6, np.float32))
    gate = b.node("Mul", b.node("Gemm", clipped, w(4, 4)), b.node("Gemm", clipped, w(4, 4)))
    raised = b.node("Add", b.node("Relu", b.node("Gemm", gate, w(4, 4))), w(1, 4))
    computed = b.node("Relu", b.node("Gemm", b.node("Elu", raised), w(4, 4)))
    b.output(b.node("Gemm", b.node("Relu", b.node("Gemm", x, w(4, 4))), w(4, 4), computed))
    return b.model()


def test_what_no_factor_can_change_stays() -> None:
    graph = graph_of(functions())
    assert not free_classes(graph)


def test_the_factor_of_least_error() -> None:
    """Ranges of least error cut a tail off: so does the factor. Without values, or with absurd ones, it is 1."""
    values = np.random.default_rng(0).laplace(0, 1, 100_000)
    counts, _ = np.histogram(values, 2048)
    found = Observed(float(values.min()), float(values.max()), counts)
    grid = scale_of(*range_of(found, "mse"))
    assert best_factor([(found, grid)]) == pytest.approx(1, rel=0.1)
    assert best_factor([(found, (3 * grid[0], grid[1]))]) == pytest.approx(3, rel=0.1)
    nothing = Observed(0.0, 0.0, np.zeros(2048, np.int64))
    assert best_factor([(nothing, grid)]) == best_factor([]) == best_factor([(found, (1e30, 0))]) == 1


def test_room_is_for_outputs_and_functions_only_and_within_its_price() -> None:
    model, data = residual(), samples(12, 3, 8, 8)
    extra = onnx.ModelProto.FromString(model.SerializeToString())
    head = extra.graph.output[0].name
    extra.graph.node.append(onnx.helper.make_node("HardSwish", [head], ["end"]))
    extra.graph.node.append(onnx.helper.make_node("Softmax", ["end"], ["probabilities"]))
    extra.graph.output[0].name = "probabilities"
    before, found = parameters(extra, data)
    graph, reference = graph_of(extra), float_outputs(extra, data)

    def measure(tried: Parameters) -> float:
        return output_sqnr(Candidate.of(to_qdq(graph, tried), "test", {"x": (1, 3, 8, 8)}), reference, data)

    after = roomy(graph, before, found, measure)
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {head, "end"}
    for name in changed:
        low, high = ((end - after[name][1]) * after[name][0] for end in (-128, 127))
        assert low <= found[name].low and high > 1.05 * found[name].high
    assert measure(after) >= measure(before) - BUDGET


def test_shared_weights_are_scaled_for_each_layer_alone() -> None:
    """Two layers read one constant; only one of them lies between free classes."""
    b, rng = OnnxBuilder(), np.random.default_rng(8)
    weights = b.constant(rng.normal(0, 0.5, (4, 4)), np.float32)
    y = b.node("Relu", b.node("Gemm", b.input((1, 4)), weights))
    b.output(b.node("Gemm", y, weights))
    model, data = b.model(), samples(8, 4)
    graph = graph_of(model)
    found = observed_in(graph, data)
    pinned = {name: (scale / 5, zero) for name, (scale, zero) in parameters(model, data)[0].items()}
    scaled = aligned(graph, found, pinned)
    close(model, scaled.model(), data)
    values = [numpy_helper.to_array(i) for i in scaled.model().graph.initializer]
    assert len(values) == 2 and not np.allclose(values[0], values[1])
