"""Bounds of runs of nodes: no stage is below them, and the search finds what it finds without them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.architectures import ARCHITECTURES
from tests.support.random_graph import RandomGraph
from tinycompile.ir import Graph, Site
from tinycompile.kernels.base import Kernel
from tinycompile.planner.bounds import Bounds
from tinycompile.planner.candidates import Appraiser, Candidate, Way
from tinycompile.planner.members import Geometry
from tinycompile.planner.stage import NotStreamable
from tinycompile.planner.stages import GRIDS, ROWS, TILES, WAYS, StageSearch
from tinycompile.planner.values import Values
from tinycompile.targets import load_board
from tinycompile.typical import typical_kernels_of

CORE = load_board("stm32f746").core
SEEDS = range(12)


def network(seed: int) -> Graph:
    """A small random one, or one of those that are searched for."""
    if seed % 4:
        return RandomGraph(seed, spatial=True).grow(8)
    return ARCHITECTURES["keyword_spotting" if seed % 8 else "image_classification"](np.random.default_rng(seed))


def offered(site: Site) -> list[Kernel]:
    return typical_kernels_of(site, CORE)


def options(graph: Graph) -> list[list[Kernel]]:
    return [offered(graph.site(node)) for node in graph.nodes]


def judged(appraiser: Appraiser, geometry: Geometry, way: Way, first: int, last: int) -> Candidate | None:
    try:
        return appraiser.candidate(way.stage(geometry, first, last))
    except NotStreamable:
        return None


@pytest.mark.parametrize("seed", SEEDS)
def test_no_stage_is_below_its_bounds(seed: int) -> None:
    """Before any kernel for rows is known, and when all are."""
    graph = network(seed)
    values = Values(graph, options(graph))
    geometry = Geometry(graph, values.kept)
    appraiser = Appraiser(geometry, values, offered)
    bounds = {way: Bounds(geometry, values, way.rows, appraiser) for way in ROWS}
    nodes = range(len(graph.nodes))
    runs = [(way, first, last + 1) for way in ROWS for first in nodes for last in nodes[first:]]
    early = {run: bounds[run[0]].instructions(*run[1:]) for run in runs}
    stages = {run: found for run in runs if (found := judged(appraiser, geometry, *run)) is not None}
    assert stages
    for (way, first, last), stage in stages.items():
        assert early[way, first, last] <= bounds[way].instructions(first, last) <= stage.instructions
        assert bounds[way].bytes(first, last) <= stage.least


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_tiles_or_patches_are_below_what_is_outside(seed: int) -> None:
    graph = network(seed)
    values = Values(graph, options(graph))
    geometry = Geometry(graph, values.kept)
    appraiser = Appraiser(geometry, values, offered)
    bounds, nodes = Bounds(geometry, values, 1, appraiser), range(len(graph.nodes))
    runs = [
        (way, first, last + 1) for way in (TILES[0], GRIDS[0], GRIDS[4]) for first in nodes for last in nodes[first:]
    ]
    stages = [(run[1:], found) for run in runs if (found := judged(appraiser, geometry, *run)) is not None]
    assert stages
    assert all(bounds.bytes_outside(*run) <= stage.least for run, stage in stages)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_search_finds_what_it_finds_without_bounds(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = network(seed)
    values = Values(graph, options(graph))
    peak = max(min(values.need(step, kernel) for kernel in found) for step, found in enumerate(values.options))
    limits = [peak, peak * 3 // 4, peak // 2, peak // 3]

    def found() -> list[list[tuple[int, int, str]] | None]:
        search = StageSearch(graph, options(graph), offered, WAYS["stream"])
        stages = map(search.best, limits)
        return [None if each is None else [(s.first, s.last, s.how) for s in each] for each in stages]

    quick = found()
    for bound in ("instructions", "bytes"):
        monkeypatch.setattr(Bounds, bound, lambda *_: 0)
    assert quick == found()


def test_a_search_makes_few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """29 nodes have 435 runs, and there are three ways to execute each."""
    made, stage = [], Way.stage

    def counted(way: Way, geometry: Geometry, first: int, last: int):
        made.append((first, last))
        return stage(way, geometry, first, last)

    monkeypatch.setattr(Way, "stage", counted)
    graph = ARCHITECTURES["wake_words"](np.random.default_rng(3))
    search = StageSearch(graph, options(graph), offered, WAYS["stream"])
    assert search.best(36_000)
    assert len(made) < 200
