"""The bits of each layer's weights, in what people and programs read."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported
from tinycompile import cost
from tinycompile.cli._costs import cost_lines
from tinycompile.ir import Graph
from tinycompile.report.difference import changes
from tinycompile.report.weights import by_bits, layer_weights


def layers(*ranges: tuple[int, int], block: int = 0) -> Graph:
    """Products with weights of these ranges, ends included; uint8, of which 8 is taken off."""
    b, rng = OnnxBuilder(21), np.random.default_rng(0)
    x = b.activation(b.input((1, 12)), 0.1, 0)
    for low, high in ranges:
        values = rng.integers(low, high + 1, (12, 12)).astype(np.uint8)
        values[:2] = [[low], [high]]
        if block:
            shape = -(-12 // block), 12
            scale, zero = rng.uniform(0.01, 0.02, shape), rng.integers(low, high + 1, shape)
            w = b.dequantize(b.constant(values), scale, zero, "uint8", axis=0, block_size=block)
        else:
            w = b.weights(values, 0.01, 8)
        x = b.activation(b.node("MatMul", x, w), 0.1, 0)
    b.output(x)
    model = b.model()
    model.ir_version = 10
    return imported(model)[0].without_dead()


def bits_of(graph: Graph) -> list[tuple[int, int | None]]:
    found = [layer_weights(graph, node) for node in graph.nodes]
    return [(each.count, each.bits) for each in found if each.count]


def test_bits_are_those_of_the_values():
    graph = layers((6, 9), (4, 11), (0, 15), (0, 22))
    assert bits_of(graph) == [(144, bits) for bits in (2, 3, 4, 8)]
    assert layer_weights(graph, graph.nodes[0]).bits is None


@pytest.mark.parametrize("block", [4, 5])
def test_each_block_may_have_its_zero_point(block):
    assert bits_of(layers((0, 15), (0, 3), block=block)) == [(144, 4), (144, 2)]


def test_they_are_summed_up_where_some_are_fewer_than_8():
    assert list(by_bits([(8, 1000), (4, 2000), (None, 7), (4, 100)])) == [
        "those of 4 bits in 2 layers take 2,100 bytes",
        "those of 8 bits in 1 layer take 1,000 bytes",
    ]
    assert not list(by_bits([(8, 1000), (16, 2000)]))


def test_cost_and_diff_say_them():
    found = cost(layers((0, 15), (0, 15), block=4), "host")
    assert [layer.weight_bits for layer in found.layers if layer.weights_bytes] == [4, 4]
    lines = list(cost_lines("x", found))
    assert any("those of 4 bits in 2 layers take" in line for line in lines)
    assert not re.search(r"(\b[\d,]+) to \1 cycles", "\n".join(lines))
    figures = {key: dict.fromkeys(names, 1) for key, names in FIGURES.items()}

    def report(bits: int) -> dict[str, Any]:
        layer = {"name": "y", "instructions_estimate": 1, "weights_bytes": 9, "weight_bits": bits}
        return {**figures, "layers": [layer]}

    (change,) = (change for change in changes(report(8), report(4)) if change.layer)
    assert (change.what, change.old, change.new) == ("bits of a weight", 8, 4)


FIGURES = {
    "ram": ("total_bytes", "arena_bytes", "scratch_bytes", "stack_bytes"),
    "flash": ("total_bytes", "weights_bytes", "code_bytes"),
    "macs": ("executed",),
}
