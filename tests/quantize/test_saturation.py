"""Ranges end where what reads a value doesn't change any more."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.quantize.test_operators import Net, between_layers
from tests.quantize.test_quantize import graph_of, samples
from tinycompile.quantize.network import Network
from tinycompile.quantize.saturation import functions_behind, saturation
from tinycompile.quantize.survey import surveyed

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


def silu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("functions", "low", "high"),
    [
        ([np.tanh], (-4.5, -3), (3, 4.5)),
        ([np.tanh, lambda x: np.clip(x, -20, 5)], (-21, -19), (4.5, 5.5)),
        ([silu], (-9, -5), (np.inf, np.inf)),
        ([np.abs], (-np.inf, -np.inf), (np.inf, np.inf)),
        ([np.zeros_like], (25, 31), (-31, -25)),
    ],
)
def test_ends(functions: list[Callable[[np.ndarray], np.ndarray]], low: tuple[float, ...], high: tuple[float, ...]):
    """Of several functions all have to be flat there; what is beyond the ends changes none by half a step."""
    x = np.random.default_rng(0).uniform(-30, 30, (7, 900)).astype(np.float32)
    found = saturation(x, [function(x) for function in functions])
    assert low[0] <= found[0] <= low[1] and high[0] <= found[1] <= high[1], found
    if found[0] < found[1]:
        for function in functions:
            step = np.ptp(function(x)) / 255
            assert np.abs(function(x.clip(*found)) - function(x)).max() <= step / 2


def test_which_values_only_functions_read():
    def body(b: Net, x: str) -> str:
        """Two functions of a layer, of which one is a product of parts, and a sum that a layer reads, too."""
        total = b.node("Mul", b.node("Tanh", x), b.layer(b.node("Mul", x, b.node("Sigmoid", x))))
        return b.node("Mul", b.node("Tanh", total), b.layer(total))

    graph = graph_of(between_layers(body))
    (layer,) = [node.output[0] for node in graph.nodes if node.op_type == "Conv"][:1]
    assert {name: len(found) for name, found in functions_behind(graph).items()} == {layer: 2}


def test_a_layer_in_front_of_a_function_has_small_steps():
    graph, data = graph_of(between_layers(lambda b, x: b.node("Tanh", x))), samples(8, 4, 6, 6)
    network = Network(graph, data)
    (name,) = [node.input[0] for node in graph.nodes if node.op_type == "Tanh"]
    found = surveyed(network, data)[0][name]
    low, high = found.range(1.0)
    assert np.abs(network.floats[name]).max() > 6 and -4.5 < low < -3 and 3 < high < 4.5
