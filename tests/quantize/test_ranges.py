"""Ranges for values that nobody has seen: what folds, tails and the search of ranges promise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.quantize.test_quantize import graph_of, samples
from tests.support.onnx_builder import OnnxBuilder
from tests.support.quantized_candidate import Candidate
from tinycompile.quantize import quantize
from tinycompile.quantize.channels import groups_of
from tinycompile.quantize.equalize import equalized
from tinycompile.quantize.execution import outputs_of
from tinycompile.quantize.fitting import fitted
from tinycompile.quantize.folds import FACTORS, FOLDS, Extremes, best_factor, tail_power
from tinycompile.quantize.measure import accuracy, choices
from tinycompile.quantize.network import Network, Setting
from tinycompile.quantize.qdq import QdqModel
from tinycompile.quantize.ranges import rounded_to
from tinycompile.quantize.search import Ranges, samples_for
from tinycompile.quantize.survey import surveyed

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


def extremes_of(value: np.ndarray) -> Extremes:
    return Extremes.joined([Extremes.of(value, len(value))], (-np.inf, np.inf))


def test_a_sample_is_judged_with_ranges_from_others() -> None:
    value = np.random.default_rng(0).normal(0, 1, (16, 3)).astype(np.float32)
    found = extremes_of(value)
    assert found.fold is not None and np.all(np.bincount(found.fold) == 16 // FOLDS)
    scales, zero_points = found.grids(1.0, np.arange(16))
    largest = int(np.argmax(found.high))
    reach = (127 - zero_points) * scales.astype(np.float64)
    assert reach[largest] < found.high[largest], "it is none of those that its range is made of"
    assert all(
        reach[i] >= max(found.high[j] for j in range(16) if found.fold[j] != found.fold[i]) - scales[i]
        for i in range(16)
    )


@pytest.mark.parametrize(("size", "wider"), [(4, True), (4_000, False)])
def test_few_values_in_a_sample_get_room_and_many_lose_outliers(size: int, wider: bool) -> None:
    """Exponential tails; on new samples the factor does better than the extremes."""
    rng = np.random.default_rng(1)
    seen, unseen = (rng.laplace(0, 1, (count, size)).astype(np.float32) for count in (64, 256))
    found = extremes_of(seen)
    factor = FACTORS[best_factor(found, seen, np.arange(64))]
    assert factor > 1.1 if wider else factor < 0.9
    noise = {f: float(np.square(rounded_to(unseen, *found.grid(f)) - unseen).mean()) for f in (factor, 1.0)}
    assert noise[factor] < 0.8 * noise[1.0]


def test_the_tail_is_what_an_exponential_one_has() -> None:
    peaks = np.random.default_rng(2).exponential(1, 100_000)
    for limit in (3.0, 5.0):
        expected = float(np.square(np.maximum(peaks - limit, 0)).mean())
        assert tail_power(peaks, limit) == pytest.approx(expected, rel=0.25)
    assert tail_power(peaks, 0.1) == tail_power(np.ones(2), 3.0) == 0


def test_functions_are_never_given_more_than_their_range() -> None:
    b = OnnxBuilder()
    b.output(b.node("Softmax", b.input((1, 6)), axis=-1))
    data = samples(24, 6)
    network = Network(graph_of(b.model()), data)
    found = surveyed(network, data)[0][network.graph.outputs[0]]
    assert found.range(100.0) == (0.0, 1.0) and found.range(1.0)[1] < 1


def shuffle_net(batch_in_shapes: int = 1) -> onnx.ModelProto:
    """Convolutions, a residual sum, a channel shuffle, a concatenation, a mean: its channels stay groups."""
    b, rng = OnnxBuilder(), np.random.default_rng(3)

    def conv(x: str, inputs: int, outputs: int, size: int, group: int = 1) -> str:
        gains = np.geomspace(0.02, 2, outputs).reshape(-1, 1, 1, 1)
        weights = rng.normal(0, 0.4, (outputs, inputs // group, size, size)) * gains
        return b.node("Conv", x, b.constant(weights, np.float32), pads=[size // 2] * 4, group=group)

    x = b.node("Relu", conv(b.input((1, 3, 8, 8)), 3, 8, 3))
    y = b.node("Add", x, conv(b.node("Relu", conv(x, 8, 8, 3, group=8)), 8, 8, 1))
    y = b.node("Reshape", b.node("Concat", y, b.node("MaxPool", x, kernel_shape=[1, 1]), axis=1),
               b.constant([batch_in_shapes, 4, 4, 8, 8], np.int64))  # fmt: skip
    y = b.node("Reshape", b.node("Transpose", y, perm=[0, 2, 1, 3, 4]), b.constant([1, 16, 8, 8], np.int64))
    y = b.node("Flatten", b.node("GlobalAveragePool", b.node("Relu", conv(y, 16, 16, 1, group=4))))
    b.output(b.node("Gemm", y, b.constant(rng.normal(0, 1, (16, 5)), np.float32)))
    return b.model()


def test_groups_of_channels_and_equalisation() -> None:
    """Everything between the first and the last layer is free; one group through sum, concatenation and shuffle."""
    model, data = shuffle_net(), samples(24, 3, 8, 8)
    graph = graph_of(model)
    groups = groups_of(graph)
    layers = [node.output[0] for node in graph.nodes if node.op_type in ("Conv", "Gemm")]
    free = [bool(np.all(groups.free[groups.by_channel(name)])) for name in layers]
    assert free == [True] * (len(layers) - 1) + [False]
    assert np.array_equal(groups.by_channel(layers[0]), groups.by_channel(layers[2])), "they are added"
    network = Network(graph, data)
    even = equalized(graph, {name: network.floats[name] for name in network.rounded}, 0.5)
    again = Network(even, data)
    np.testing.assert_allclose(again.floats[graph.outputs[0]], network.floats[graph.outputs[0]], rtol=1e-3, atol=1e-4)
    peaks = [np.abs(n.floats[layers[1]]).max(axis=(0, 2, 3)) for n in (network, again)]
    assert peaks[1].max() / peaks[1].min() < peaks[0].max() / peaks[0].min() / 2


@pytest.mark.parametrize("batch", [1, -1])
def test_all_samples_at_once_are_what_they_are_alone(batch: int) -> None:
    """Whether shapes are written for a batch of 1 or not; where the net mixes samples up, they run one by one."""
    model, data = shuffle_net(batch), samples(10, 3, 8, 8)
    network = Network(graph_of(model), data)
    assert network.batched
    (name,) = network.graph.outputs
    alone = np.concatenate([Network(network.graph, [sample]).floats[name] for sample in data])
    np.testing.assert_allclose(network.floats[name], alone, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(outputs_of(model, [name], data, network.graph.shapes)[name], alone, rtol=1e-4, atol=1e-5)


def test_a_net_that_mixes_samples_runs_them_one_by_one() -> None:
    b = OnnxBuilder()
    b.output(b.node("Reshape", b.node("Softmax", b.input((1, 4)), axis=0), b.constant([2, 2], np.int64)))
    data = samples(6, 4)
    network = Network(graph_of(b.model()), data)
    assert not network.batched
    assert network.floats[network.graph.outputs[0]].shape == (12, 2) and np.all(
        network.floats[network.graph.outputs[0]] == 1
    )


def test_searched_ranges_and_what_they_simulate() -> None:
    """The search makes the outputs better on what it looks at; the network rounds as the compiled model does."""
    model, data = shuffle_net(), samples(24, 3, 8, 8)
    network = Network(graph_of(model), data)
    extremes, _ = surveyed(network, data)
    ranges = Ranges.expected(network, extremes, np.arange(len(data)))
    start = fitted(network, ranges.unseen(Setting({})), weights=False)
    found = ranges.improved(network, start.setting)
    before, after = (network.noise(network.run(each.unseen(start.setting))) for each in (ranges, found))
    assert after <= before
    assert 8 <= samples_for(10**9, 100, 64) <= samples_for(10**5, 20, 64) == 64


def test_the_report_is_of_samples_that_calibration_does_not_see(tmp_path: Path) -> None:
    """And the network that was searched is the file that is written, as the compiler reads it."""
    onnx.save(shuffle_net(), str(tmp_path / "m.onnx"))
    x = np.stack([sample["x"][0] for sample in samples(40, 3, 8, 8)])
    np.savez(tmp_path / "all.npz", x=x)
    np.savez(tmp_path / "others.npz", x=x[20:])
    found = quantize(tmp_path / "m.onnx", tmp_path / "all.npz")
    assert found.measured_on == "10 of 40 samples, which calibration doesn't see" and found.sqnr > 25
    assert found.choices is not None and found.choices.what == "the largest of the 5 outputs"
    elsewhere = quantize(tmp_path / "m.onnx", tmp_path / "all.npz", evaluation=tmp_path / "others.npz")
    assert elsewhere.measured_on == "the 20 samples of others.npz" and len(elsewhere.trials) == 4
    more = quantize(tmp_path / "m.onnx", tmp_path / "all.npz", evaluation=tmp_path / "others.npz", effort="high")
    assert more.sqnr > elsewhere.sqnr - 0.01
    data = samples(40, 3, 8, 8)
    (name,) = (value.name for value in found.proto.graph.output)
    theirs = outputs_of(found.proto, [name], data, {})[name]
    candidate = Candidate.of(QdqModel(found.proto, {}, ()), "test", {})
    step = np.abs(np.diff(np.unique(theirs))).min()
    assert np.abs(candidate.outputs(data)[0].reshape(theirs.shape) - theirs).max() <= 1.01 * step


def test_what_chooses_nothing_is_told_nothing_of_classes() -> None:
    rng = np.random.default_rng(5)
    x, signal, scores = rng.normal(size=(8, 1, 12)), rng.normal(size=(8, 1, 12)), rng.normal(size=(8, 1, 4))
    masks = rng.normal(size=(8, 1, 3, 6, 6))
    assert choices(signal, signal, x) is None and choices(scores[..., :1], scores[..., :1], x) is None
    pixels = choices(masks, -masks, x)
    assert pixels is not None and pixels.what == "the largest of the 3 scores of a pixel" and pixels.same < 0.1
    labels = masks.argmax(axis=2).reshape(8, 6, 6)
    found = accuracy(masks, -masks, x, labels)
    assert (found.metric, found.float_value) == ("pixels", 1.0) and found.int8_value < 0.1
