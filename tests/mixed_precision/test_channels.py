"""Which channels can go, in which order, and what their layers make up for."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np
import pytest

from tests.mixed_precision import nets
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import channels_of
from tinycompile.mixed_precision.channel_levels import kept_counts, levels
from tinycompile.mixed_precision.channel_prices import ExactPrices, alternatives_without
from tinycompile.mixed_precision.channel_ranking import Reader, cheapest
from tinycompile.mixed_precision.choice import Choice
from tinycompile.mixed_precision.fitting import (
    LowBits,
    NewBias,
    Operands,
    fitted_in_order,
    hold_of,
    reconstructed,
    windows_of,
)
from tinycompile.mixed_precision.network import Layer, Network, Parameters
from tinycompile.mixed_precision.sensitivity import noise
from tinycompile.mixed_precision.tflite_file import places, rewritten
from tinycompile.passes.eliminate_channels import eliminate_channels
from tinycompile.targets import load_board


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(nets.graph())


@pytest.fixture(scope="module")
def values(network: Network) -> dict[str, Array]:
    """Of all tensors, without roundings."""
    found = network.inputs({"x": nets.samples(24)})
    for node in network.graph.nodes:
        found.update(zip(node.outputs, network.compute(node, found, None, rounded=False), strict=True))
    return found


def _layer(network: Network, result: str) -> Layer:
    return next(layer for layer in network.layers.values() if layer.result == result)


def test_a_residual_sum_and_what_maps_channels_have_the_same_ones(network: Network) -> None:
    first, second, third, scores = (_layer(network, name).name for name in ("first", "second", "third", "scores"))
    found = channels_of(network, network.layers)
    (only,) = found.classes.values()
    assert (only.name, only.width) == ("first", nets.CHANNELS)
    assert only.makers == [first, second, third] and only.readers == [second, scores]
    assert found.reads == dict.fromkeys((second, third, scores), "first")
    assert found.makes == dict.fromkeys((first, second, third), "first")
    assert not channels_of(network, [first, second]).classes  # nobody could write the last layer's weights


@pytest.mark.parametrize(
    ("width", "counts"), [(8, [4]), (12, [8, 4]), (16, [12, 8, 4]), (64, [60, 56, 48, 40, 32, 16])]
)
def test_channels_are_kept_in_words(width: int, counts: list[int]) -> None:
    assert kept_counts(width) == counts


@pytest.mark.parametrize("name", ["second", "scores"])
def test_costs_and_weights_are_those_of_least_squares(network: Network, values: dict[str, Array], name: str) -> None:
    layer = _layer(network, name)
    operands = Operands.of(windows_of(layer, values[layer.operand]))
    moment, own = operands.moment[0].astype(np.float64), layer.own.weights.astype(np.float64)
    moment = moment + hold_of(operands) * moment.trace() / len(moment) * np.eye(len(moment))

    def lost(weights: Array) -> float:
        return float(np.einsum("op,pq,oq->", weights - own, moment, weights - own))

    reader, left = Reader(layer, operands), np.arange(nets.CHANNELS)
    for _ in range(3):
        before, costs = lost(reader.parameters.weights), reader.costs(left)
        chosen = cheapest([reader], left)
        assert chosen == left[costs.argmin()]
        reader.remove(chosen)
        assert lost(reader.parameters.weights) - before == pytest.approx(costs.min(), rel=1e-3)
        left = np.setdiff1d(left, chosen)
    best = np.zeros_like(own)
    best[:, left] = np.linalg.solve(moment[np.ix_(left, left)], (own @ moment)[:, left].T).T
    assert np.allclose(reader.parameters.weights, best, rtol=1e-3, atol=1e-4)
    gone = np.setdiff1d(np.arange(nets.CHANNELS), left)
    again = reconstructed(layer, operands, own @ operands.moment[0], gone)
    assert np.allclose(again, best, rtol=1e-3, atol=1e-4) and not again[:, gone].any()


def test_what_removal_loses_is_measured_at_the_scores(network: Network, values: dict[str, Array]) -> None:
    found = levels(network, {"x": values["x"]}, channels_of(network, network.layers))["first"]
    assert [level.kept for level in found] == [16, 12, 8, 4]
    assert [level.kept + len(set(level.gone)) for level in found] == [16] * 4
    losses = [level.loss for level in found]
    assert losses[0] == 0 < losses[1] and losses == sorted(losses)
    kept = ~np.isin(np.arange(nets.CHANNELS), found[-1].gone)
    readers = [_layer(network, name) for name in ("second", "scores")]
    dropped = {each.name: Parameters(each.own.weights * kept, each.own.bias) for each in readers}
    plain = network.changed(values, dropped, rounded=False)
    assert losses[-1] < noise([values[name].reshape(24, -1) for name in network.scores], plain) / 4


@pytest.fixture(scope="module")
def without_six(network: Network) -> tuple[Array, dict[str, LowBits | NewBias]]:
    """(six channels of the class, layers that do without them)."""
    gone, readers = np.array([1, 4, 5, 9, 14, 15]), [_layer(network, name).name for name in ("second", "scores")]
    inputs = network.inputs({"x": nets.samples(24)})
    return gone, fitted_in_order(network, inputs, {readers[0]: 4}, gone=dict.fromkeys(readers, gone))


def test_a_file_without_channels_computes_what_was_fitted_and_loses_them_when_compiled(
    network: Network, without_six: tuple[Array, dict[str, LowBits | NewBias]]
) -> None:
    """Through a residual sum, a depthwise convolution and a mean."""
    gone, changes = without_six
    at = places(nets.content(), network.graph, network.layers)
    made = import_tflite(rewritten(nets.content(), at, network.layers, changes, "ours"), "made", "made")
    layers = Network(made).layers
    for name, change in changes.items():
        fitted = change.parameters(network.layers[name])
        assert np.array_equal(fitted.weights, layers[name].own.weights)
        assert not isinstance(change, LowBits) or not change.codes[:, gone].any()
    after = eliminate_channels(made)
    kept = np.setdiff1d(np.arange(nets.CHANNELS), gone)
    for name in ("first", "second", "both", "third", "average"):
        assert np.array_equal(cast(Array, after.sources[name].channels), kept)
    for x in np.random.default_rng(0).integers(-128, 128, (3, *made.types["x"].shape)).astype(np.int8):
        whole, smaller = (interpreter.run(graph, {"x": x})["scores"] for graph in (made, after))
        assert np.array_equal(whole, smaller)


def test_other_weights_and_biases_make_up_for_what_is_missing(
    network: Network, without_six: tuple[Array, dict[str, LowBits | NewBias]]
) -> None:
    gone, changes = without_six
    inputs = network.inputs({"x": nets.samples(40, 5)})
    kept = ~np.isin(np.arange(nets.CHANNELS), gone)
    readers = [_layer(network, name) for name in ("second", "scores")]
    dropped = {each.name: Parameters(each.own.weights * kept, each.own.bias) for each in readers}
    fitted = {name: change.parameters(network.layers[name]) for name, change in changes.items()}
    own, ours, plain = (network.outputs(inputs, each, rounded=True) for each in ({}, fitted, dropped))
    assert noise(own, ours) < noise(own, plain) / 4


def test_prices_between_levels_are_near_those_of_the_kernels(network: Network) -> None:
    core, channels = load_board("stm32f746").core, channels_of(network, network.layers)
    kept, layers = {"first": [16, 12, 8, 4]}, ["first", "second", "scores"]
    found = alternatives_without(network, layers, (4,), core, channels, kept)
    assert set(found) == set(network.layers)  # the depthwise convolution loses channels as well
    assert {(a.bits, a.reads, a.makes) for a in found["third"]} == {(8, level, level) for level in range(4)}
    assert all({a.reads for a in each} == set(range(4 if name != "first" else 1)) for name, each in found.items())
    exactly = ExactPrices(network, core, channels, kept)
    for name, each in found.items():
        for chosen in (a for a in each if (a.reads, a.makes) in ((0, 0), (3, 3), (3, 0), (0, 3), (1, 2), (2, 2))):
            (exact,) = exactly.of(Choice({name: chosen})).chosen.values()
            if {chosen.reads, chosen.makes} <= {0, 3}:
                assert exact == replace(chosen, function=exact.function, code=exact.code)
            assert exact.bytes == pytest.approx(chosen.bytes, rel=0.1, abs=128)
            assert exact.instructions == pytest.approx(chosen.instructions, rel=0.4)
