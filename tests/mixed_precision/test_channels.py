"""Which channels can go, in which order, and what their layers make up for."""

from __future__ import annotations

import numpy as np
import pytest

from tests.mixed_precision import nets
from tinycompile.ir import Array
from tinycompile.mixed_precision.channel_classes import channels_of
from tinycompile.mixed_precision.channel_levels import kept_counts, levels
from tinycompile.mixed_precision.channel_ranking import Reader, cheapest, reconstructed
from tinycompile.mixed_precision.fitting import Operands, damping_of, windows_of
from tinycompile.mixed_precision.network import Layer, Network, Parameters
from tinycompile.mixed_precision.sensitivity import noise


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
    moment = moment + damping_of(operands) * moment.trace() / len(moment) * np.eye(len(moment))

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
