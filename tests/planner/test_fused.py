"""Kernels of several nodes in whole programs: the same bits as the nodes one by one, whatever is between and around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.planner.test_poison import random_inputs
from tests.planner.test_states import Memory, outputs
from tests.planner.test_stream import run_planned
from tests.support.cores import core_named
from tests.support.full import also
from tests.support.random_graph import RandomGraph
from tests.support.random_states import sequence, with_states
from tinycompile.interpreter import run
from tinycompile.ir import Graph, verify
from tinycompile.kernels import Covers, kernels_for, kernels_of
from tinycompile.kernels.cover import Cover, Fused, expanded
from tinycompile.passes import optimize
from tinycompile.planner import Planned, StagePlanner, plan
from tinycompile.targets import Core

CORES = {
    "m0": core_named("cortex-m0"),
    "m3": core_named("cortex-m3"),
    "m7": core_named("cortex-m7", dsp=True, fpu=True),
    "m55": core_named("cortex-m55", dsp=True, mve=True, fpu=True),
}


def always(core: Core, graph: Graph) -> Sequence[Cover]:
    """Every cover of several nodes, as if it cost nothing."""
    return [replace(cover, kernel=replace(cover.kernel, instructions=0)) for cover in Covers(core)(graph)]


def planned_for(graph: Graph, core: Core, optimize_for: str = "speed") -> Planned:
    return plan(
        graph,
        kernels_for(graph, core),
        ram_limit=None,
        optimize=optimize_for,
        covers=lambda ordered: always(core, ordered),
    )


def fused_titles(planned: Planned) -> Counter[str]:
    return Counter(node.op.title for node in planned.graph.nodes if isinstance(node.op, Fused))


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("seed", (*range(7), *also(*range(7, 12))))
def test_random_graphs(core: str, seed: int) -> None:
    """Branches, values that several read, outputs in the middle of a pattern."""
    graph = RandomGraph(seed, fusable=True).grow(9)
    planned = planned_for(graph, CORES[core], ("speed", "ram")[seed % 2])
    verify(planned.graph)
    inputs = random_inputs(graph, seed)
    one_by_one, together = run(graph, inputs), run(planned.graph, inputs)
    for name in together:
        np.testing.assert_array_equal(together[name], one_by_one[name], err_msg=name)
    assert set(graph.outputs) <= set(together)
    run_planned(planned, inputs, poison=True)


@pytest.mark.parametrize("seed", range(40))
def test_states(seed: int) -> None:
    """What a state becomes may be computed together with what comes before, if nobody there reads the state."""
    graph = optimize(with_states(seed, fusable=True))
    steps = sequence(graph, 3)
    memory = Memory(planned_for(graph, CORES["m55"], "ram"))
    np.testing.assert_equal([memory.step(inputs) for inputs in steps], outputs(graph, steps))


def test_all_patterns_occur() -> None:
    """The random graphs above have them all."""
    found = Counter[str]()
    for seed in range(12):
        found += fused_titles(planned_for(RandomGraph(seed, fusable=True).grow(9), CORES["m55"]))
    for title in ("lookup + mul", "lookup + add", "lookup + lookup"):
        assert any(title in each for each in found), (title, found)


@pytest.mark.parametrize("core", ["m3", "m55"])
def test_within_limits_and_in_stages(core: str) -> None:
    """Between the least RAM in stages and the fastest layer by layer: covers stand beside stages."""
    found = CORES[core]
    graph = RandomGraph(7, spatial=True, fusable=True).grow(8)
    kernels = kernels_for(graph, found)
    planner = StagePlanner(
        graph, kernels, lambda site: kernels_of(site, found), "auto", lambda ordered: always(found, ordered)
    )
    least = planner.plan(ram_limit=None, optimize="ram").arena_bytes
    most = planned_for(graph, found).arena_bytes
    for limit in sorted({least, (least + most) // 2, most}):
        planned = planner.plan(ram_limit=limit, optimize="speed")
        assert planned.arena_bytes <= limit
        run_planned(planned, random_inputs(graph, limit))


def test_parts_come_back() -> None:
    graph = RandomGraph(1, fusable=True).grow(9)
    planned = planned_for(graph, CORES["m55"])
    assert fused_titles(planned)
    again = expanded(planned.graph)
    verify(again)
    assert [node.name for node in again.nodes] == [n for node in planned.graph.nodes for n in node.name.split(" + ")]
    assert again.macs() == planned.graph.macs() == graph.macs()
