"""The property benchmark of speed: what it draws, what it builds of that, and what it calls slow."""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from benchmarks.property import (
    MARKS,
    OUTLIER,
    PAGE,
    PEERS,
    PRODUCTS,
    RESULTS,
    Cost,
    Layer,
    by_kind,
    distribution,
    drawn,
    markdown,
    model,
    outliers,
)
from tinycompile import frontend
from tinycompile.work import node_macs

LAYER = Layer("conv 3x3", (9, 8, 5), (3, 3), (2, 2), 7, True, False)


def test_layers_are_read_as_they_were_drawn(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    layers = [drawn(rng) for _ in range(40)]
    several = {layer.kind for layer in layers if not layer.kind.endswith("3 taps")}
    assert several == {*PEERS, "depthwise of few channels"}
    assert all(layer.kind.endswith("3 taps") == (prod(layer.window) == 3) for layer in layers)
    assert all(PRODUCTS[0] <= layer.products <= PRODUCTS[1] for layer in layers)
    path = tmp_path / "layers.tflite"
    path.write_bytes(model(layers, 1))
    graph = frontend.load(path)
    assert node_macs(graph) == [layer.products for layer in layers]


def test_a_layer_is_slow_beside_its_kind_or_beside_the_peers() -> None:
    usual = [Cost(LAYER, 1.0, "fast", "")] * 3
    slow, explained = Cost(LAYER, OUTLIER + 0.1, "generic", ""), Cost(LAYER, OUTLIER + 0.1, "generic", "groups")
    other = Cost(replace(LAYER, kind="conv 1x1"), 9.0, "generic", "")
    kinds = by_kind([slow, *usual, explained, other])
    assert [cost.each for cost in kinds["conv 3x3"]] == [1.0, 1.0, 1.0, slow.each, slow.each]
    assert [cost for cost, _ in outliers(kinds, {})] == [slow]
    assert [cost for cost, _ in outliers(kinds, {"conv 1x1": 6.7})] == [slow, other]
    assert "TFLM" in outliers(kinds, {"conv 1x1": 6.7})[1][1]


def test_the_page_has_a_row_of_each_kind_on_each_core_and_level() -> None:
    figures = distribution([3.0, 1.0, 2.0])
    assert figures == {"layers": 3, "least": 1.0, "median": 2.0, "9 of 10": 2.8, "most": 3.0}
    page = markdown({"M7 speed": {"conv 3x3": figures}, "M4 balanced": {"conv 3x3": figures, "conv 1x1": figures}})
    rows = [f"| {what} | 3 | 1.00 | 2.00 | 2.80 | 3.00 |" for what in ("conv 1x1", "conv 3x3", "conv 3x3")]
    cores = ("| M4 balanced ", "| M4 balanced ", "| M7 speed ")
    assert page.splitlines()[2:] == [core + row for core, row in zip(cores, rows, strict=True)]


def test_the_page_shows_what_was_measured() -> None:
    document = json.loads(RESULTS.read_text())
    assert MARKS[0] + markdown(document) + MARKS[1] in PAGE.read_text()
