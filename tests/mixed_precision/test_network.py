"""The network on many samples at once against the interpreter, and files with other weights."""

from __future__ import annotations

import numpy as np
import pytest

from tests.mixed_precision import nets
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array
from tinycompile.mixed_precision.fitting import LowBits, Operands, fitted_in_order, low_bits, means, windows_of
from tinycompile.mixed_precision.network import Network, flat
from tinycompile.mixed_precision.tflite_file import packed_nibbles, places, rewritten
from tinycompile.verify.operators import integers


@pytest.fixture(scope="module")
def network() -> Network:
    return Network(nets.graph())


@pytest.fixture(scope="module")
def inputs(network: Network) -> dict[str, Array]:
    return network.inputs({"x": nets.samples(24)})


def _exact(network: Network, inputs: dict[str, Array], count: int) -> Array:
    """Integers of the output by the interpreter."""
    t = network.graph.types["x"]
    given = np.rint(inputs["x"] / np.float32(t.scale)) + t.zero_point
    return np.stack([interpreter.run(network.graph, {"x": x.astype(np.int8)})["scores"][0] for x in given[:count]])


def test_rounded_values_are_the_interpreters_but_for_ties(network: Network, inputs: dict[str, Array]) -> None:
    t = network.graph.types["scores"]
    ours = network.outputs(inputs, {}, rounded=True)[0] / np.float32(t.scale) + t.zero_point
    difference = np.abs(np.rint(ours[:8]) - _exact(network, inputs, 8))
    assert difference.max() <= 1 and (difference == 0).mean() > 0.9


def test_without_roundings_results_differ_by_less_than_some_steps(network: Network, inputs: dict[str, Array]) -> None:
    rounded, smooth = (network.outputs(inputs, {}, rounded=each)[0] for each in (True, False))
    step = network.graph.types["scores"].scale
    assert 0 < np.abs(rounded - smooth).max() < 4 * step
    assert np.abs(smooth / step - np.rint(smooth / step)).max() > 0.3


def test_a_changed_layer_is_what_a_whole_run_with_it_is(network: Network, inputs: dict[str, Array]) -> None:
    layer = list(network.layers.values())[1]
    operands = Operands.of(windows_of(layer, network_values(network, inputs)[layer.operand]))
    given = low_bits(layer, operands, 3, means(layer, layer.own.weights, operands.mean)).parameters(layer)
    values = network_values(network, inputs)
    (alone,) = network.changed(values, {layer.name: given}, rounded=False)
    (whole,) = network.outputs(inputs, {layer.name: given}, rounded=False)
    assert np.array_equal(alone, whole)
    assert np.abs(whole - flat(values["scores"])).max() > 0


def network_values(network: Network, inputs: dict[str, Array]) -> dict[str, Array]:
    values = dict(inputs)
    for node in network.graph.nodes:
        values.update(zip(node.outputs, network.compute(node, values, None, rounded=False), strict=True))
    return values


def test_windows_are_what_weights_are_multiplied_with(network: Network, inputs: dict[str, Array]) -> None:
    values = network_values(network, inputs)
    for layer in network.layers.values():
        windows = windows_of(layer, values[layer.operand], 1 << 30)
        weights = layer.own.weights.reshape(len(windows), -1, windows.shape[1])
        sums = (weights @ windows).reshape(layer.outputs, -1).T + layer.own.bias
        low, high = (np.float32((q - layer.sig.output.zero_point) * layer.sig.output.scale) for q in (-128, 127))
        assert np.allclose(np.clip(sums, low, high), values[layer.result].reshape(sums.shape), atol=1e-3)


def test_codes_are_packed_as_readers_unpack_them() -> None:
    codes = np.random.default_rng(0).integers(-8, 8, (3, 5), np.int8)
    assert np.array_equal(integers(packed_nibbles(codes), "int4", codes.shape), codes)


def test_the_file_with_few_bits_computes_what_was_fitted(network: Network, inputs: dict[str, Array]) -> None:
    first, second, depthwise, last = network.layers
    changes = fitted_in_order(network, inputs, {first: 4, last: 3, depthwise: 4})
    at = places(nets.content(), network.graph, network.layers)
    made = import_tflite(rewritten(nets.content(), at, network.layers, changes, "ours"), "made", "made")
    parameters = {name: each.parameters(network.layers[name]) for name, each in changes.items()}
    for layer in Network(made).layers.values():
        fitted, change = parameters[layer.name], changes[layer.name]
        assert np.array_equal(fitted.weights, layer.own.weights)
        assert np.allclose(fitted.bias, layer.own.bias, rtol=1e-6)
        if isinstance(change, LowBits):
            assert change.codes.min() >= -(1 << change.bits - 1) and change.codes.max() < 1 << change.bits - 1
    assert not isinstance(changes[second], LowBits)  # behind a layer that changed, so that it gets a bias


def test_biases_make_up_for_what_few_bits_shift(network: Network, inputs: dict[str, Array]) -> None:
    changes = fitted_in_order(network, inputs, dict.fromkeys(network.layers, 2), "nearest")
    parameters = {name: each.parameters(network.layers[name]) for name, each in changes.items()}
    kept = {n: type(p)(p.weights, network.layers[n].own.bias) for n, p in parameters.items()}
    own = network.outputs(inputs, {}, rounded=True)[0]
    with_biases, without = (
        np.abs((network.outputs(inputs, p, rounded=True)[0] - own).mean(axis=0)).max() for p in (parameters, kept)
    )
    assert with_biases < 0.3 * without
