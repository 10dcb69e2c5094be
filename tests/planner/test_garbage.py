"""What planned a network is gone as soon as nobody needs it, without Python's looking for what holds itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Generator

import numpy as np
import pytest

from tests.support.architectures import ARCHITECTURES
from tinycompile.options import Options
from tinycompile.planner.stages import WAYS, StageSearch
from tinycompile.plans import Plans
from tinycompile.targets import load_board
from tinycompile.typical import typical_kernels_of

BOARD = load_board("stm32f746")
GRAPH = ARCHITECTURES["keyword_spotting"](np.random.default_rng(1))


@pytest.fixture(autouse=True)
def without_collecting() -> Generator[None]:
    gc.disable()
    yield
    gc.enable()


def test_plans_in_stages_go() -> None:
    plans = Plans(GRAPH, BOARD, Options("stm32f746"), typical_kernels_of)
    assert plans.stages(9_000, again=False).stages
    gone = weakref.ref(plans)
    del plans
    assert gone() is None


def test_a_search_goes_although_it_is_known_what_cannot_be_a_stage() -> None:
    """Of a graph's nodes that is known for all searches: who asked last is no part of it."""
    kernels = [typical_kernels_of(GRAPH.site(node), BOARD.core) for node in GRAPH.nodes]
    search = StageSearch(GRAPH, kernels, lambda site: typical_kernels_of(site, BOARD.core), WAYS["auto"])
    search.best(9_000)
    gone = weakref.ref(search)
    del search
    assert gone() is None
