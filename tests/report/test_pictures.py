"""Geometry of the pictures."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinycompile.report.pictures.arena import arena_picture, ram_picture
from tinycompile.report.pictures.layers import Sizes, layered
from tinycompile.report.pictures.network import source_picture


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(st.integers(1, 24))
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    return count, draw(st.lists(st.sampled_from(pairs), unique=True, max_size=40)) if pairs else []


@settings(deadline=None, max_examples=100)
@given(graphs())
def test_nodes_are_apart_and_edges_lead_downwards(graph: tuple[int, list[tuple[int, int]]]) -> None:
    count, edges = graph
    sizes = Sizes()
    drawing = layered(count, edges, sizes)
    for (x1, y1), (x2, y2) in combinations(drawing.centres, 2):
        assert abs(x1 - x2) >= sizes.width - 1e-6 or abs(y1 - y2) >= sizes.height
    for (source, target), path in zip(edges, drawing.paths, strict=True):
        assert path[0] == (drawing.centres[source][0], drawing.centres[source][1] + sizes.height / 2)
        assert path[-1] == (drawing.centres[target][0], drawing.centres[target][1] - sizes.height / 2)
        assert all(upper[1] < lower[1] for upper, lower in pairwise(path))
    for x, y in drawing.centres:
        assert sizes.width / 2 - 1e-6 <= x <= drawing.width - sizes.width / 2 + 1e-6
        assert 0 <= y <= drawing.height


def test_a_chain_is_a_straight_line() -> None:
    drawing = layered(5, list(pairwise(range(5))))
    assert len({x for x, _ in drawing.centres}) == 1


def test_a_large_graph_is_drawn_in_time() -> None:
    edges = [(i, i + 1) for i in range(1999)] + [(i, i + 40) for i in range(0, 1960, 3)]
    assert len(layered(2000, edges).centres) == 2000


def test_the_arena_shows_its_stages() -> None:
    report: dict[str, Any] = {
        "arena": {"steps": 4, "buffers": []},
        "ram": {"arena_bytes": 64},
        "layers": [{"stage": None}, {"stage": 0}, {"stage": 0}, {"stage": None}],
        "stages": [{"mode": "patch", "how": "on a grid of 2x2 patches"}],
    }
    picture = str(arena_picture(report))
    assert "stage 0, on a grid of 2x2 patches: patch, steps 1 to 2" in picture
    assert picture.count('class="stage"') == 1


@pytest.mark.parametrize("training", [None, {"begin": 1}])
def test_pictures_show_where_the_backward_pass_begins(training: dict[str, int] | None) -> None:
    phases = ("forward", "forward", "backward", "update")
    layers = [{"live_bytes": 8, "name": phase, "op": "op", "phase": phase} for phase in phases]
    report: dict[str, Any] = {"arena": {"steps": 5, "buffers": []}, "ram": {"arena_bytes": 64}, "layers": layers}
    report["training"] = training
    for picture in map(str, (arena_picture(report), ram_picture(report))):
        assert picture.count('class="turn"') == int(training is not None)
        assert ("a prediction ends before step 2" in picture) == (training is not None)
    assert 'class="column update peak"' in str(ram_picture(report))


def test_a_wide_graph_is_shown_from_its_first_node_on_and_titles_stay_in_their_boxes() -> None:
    """The input is in the middle above seven branches; a browser that scrolls begins there."""
    node = {"op": "relu", "name": "n", "shape": [1, 24, 32], "kept": True}
    long = " + ".join(["batch_matmul"] * 4)
    nodes = [node, *(node | {"op": long} for _ in range(7))]
    picture = str(source_picture({"graphs": {"source": {"nodes": nodes, "edges": [(0, n) for n in range(1, 8)]}}}))
    place = float(picture.split("left: ")[1].split("px")[0])
    first = float(picture.split("translate(")[1].split(" ")[0])
    assert 0 < place < first < place + Sizes().width
    shown = picture.split('class="op" x="8" y="14">')[2].split("<")[0]
    assert shown == "batch_matmul + batch_mat…"
    assert picture.count(f"<title>{long}") == 7
