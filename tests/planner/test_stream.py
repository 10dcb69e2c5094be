"""Stages that are executed row by row: bit-identical to layer by layer, for any windows and residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planner.test_poison import M7, POISON, compiled, poisoned, random_inputs
from tests.support.cores import core_named
from tests.support.full import FULL
from tests.support.random_graph import RandomGraph
from tests.support.sanitizers import UNDEFINED
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.codegen.program import build_program
from tinycompile.dtypes import INT8
from tinycompile.errors import DoesNotFitError
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite
from tinycompile.interpreter import run
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_for, kernels_of
from tinycompile.passes import optimize
from tinycompile.passes.split_averages import split_averages
from tinycompile.planner import LARGE, Planned, StagePlanner, plan, planned_of
from tinycompile.planner.candidates import Way
from tinycompile.planner.choose import choose
from tinycompile.planner.members import Geometry
from tinycompile.planner.stage import NotStreamable, Stage
from tinycompile.planner.stages import ROWS, WAYS, StageSearch
from tinycompile.planner.values import Values
from tinycompile.targets import Core

M0 = core_named("cortex-m0")


def run_planned(
    planned: Planned, inputs: dict[str, np.ndarray], *, exact: bool = True, cores: int = 1, poison: bool = False
) -> None:
    """Outputs, and every layer's result as it is traced, against the interpreter, from an arena full of garbage.

    Args:
        exact: bit for bit; else within the rounding of float sums. cores: for which the code is.
        poison: also as by `run_poisoned`.
    """
    same = np.testing.assert_array_equal if exact else partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    program = build_program("model", planned, cores=cores)
    model, expected = compiled(program, UNDEFINED), run(planned.graph, inputs)
    for _ in range(2):
        np.frombuffer(model.arena, np.uint8)[:] = POISON
        outputs, traced = model.trace([inputs[name] for name in planned.graph.inputs])
        for output, value in zip(planned.graph.outputs, outputs, strict=True):
            same(value, expected[output], err_msg=output)
        computed = [name for node in planned.graph.nodes for name in node.outputs]
        for name, record in zip(computed, traced, strict=True):
            got, known = record.against(expected[name])
            assert known.any()
            same(got[known], expected[name][known], err_msg=name)
    if poison:
        poisoned(model, program, planned.graph, inputs)


def with_stages(graph: Graph, stages: list[Stage], isa: Core, optimize_for: str) -> Planned:
    """These stages and no others."""
    search = StageSearch(graph, kernels_for(graph, isa), lambda site: kernels_of(site, isa), WAYS["auto"])
    options = search.options(stages, kernels_for(graph, isa))
    assert options is not None
    values = Values(graph, options, stages)
    choice = choose(values, ram_limit=None, optimize=optimize_for, flash=LARGE)
    return planned_of(choice, order_optimal=True)


def possible_stages(graph: Graph, ways: Sequence[Way]) -> list[Stage]:
    """The longest first."""
    found, geometry = list[Stage](), Geometry(graph, {name for s in graph.states for name in (s.name, s.next)})
    for first in range(len(graph.nodes)):
        for last in range(first + 1, len(graph.nodes) + 1):
            for way in ways:
                try:
                    found.append(way.stage(geometry, first, last))
                except NotStreamable:
                    continue
    return sorted(found, key=lambda stage: stage.first - stage.last)


def check_a_stage(seed: int, steps: int, ways: Sequence[Way], data: st.DataObject) -> None:
    """One of the longest stages of a random network against the interpreter."""
    graph = RandomGraph(seed, spatial=True).grow(steps)
    stages = possible_stages(graph, ways)
    if stages:
        stage = stages[data.draw(st.integers(0, min(5, len(stages) - 1)))]
        isa = data.draw(st.sampled_from([M7, M7, M0]))
        run_planned(
            with_stages(graph, [stage], isa, data.draw(st.sampled_from(["speed", "ram"]))), random_inputs(graph, 1)
        )


@settings(max_examples=25 if FULL else 9, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 5), st.data())
def test_any_stage_row_by_row(seed: int, steps: int, data: st.DataObject) -> None:
    check_a_stage(seed, steps, ROWS, data)


def test_patches_with_more_around_them_than_any_memory_holds_are_no_stage() -> None:
    """Five layers that reach 1,024 rows and columns far: a patch of the first would be 6,176 x 6,176 x 8 bytes."""
    b = TfliteBuilder()
    values = [b.tensor((1, 64, 64, 8), 0.1) for _ in range(6)]
    for x, y in pairwise(values):
        weights, bias = b.constant(np.ones((1, 3, 3, 8), np.int8), 0.1), b.constant(np.zeros(8, np.int32), 0.01)
        far = {"DilationHFactor": 1024, "DilationWFactor": 1024}
        b.op("DEPTHWISE_CONV_2D", [x, weights, bias], [y], StrideH=1, StrideW=1, DepthMultiplier=1, **far)
    graph = optimize(import_tflite(b.build(values[:1], values[-1:]), "m", "m.tflite"))
    with pytest.raises(NotStreamable, match=r"no tensor has the shape 1x[\dx]+: it would have more than 33,554,432"):
        Way(2, 2, patches=True).stage(Geometry(graph), 0, 5)


def test_what_is_needed_behind_a_stage_is_left_whole() -> None:
    graph = RandomGraph(3, spatial=True).grow(5)
    stage = max(possible_stages(graph, ROWS), key=lambda stage: len(stage.beside))
    assert stage.beside
    assert not any(name in stage.lines for name in stage.beside)
    run_planned(with_stages(graph, [stage], M7, "ram"), random_inputs(graph, 1))
    with pytest.raises(NotStreamable, match=f"{stage.beside[0]} is needed outside"):
        Way(2, 1, patches=True).stage(Geometry(graph), stage.first, stage.last)


@settings(max_examples=20 if FULL else 12, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 5), st.integers(1, 2), st.integers(2, 5), st.data())
def test_any_stage_in_tiles_of_columns(seed: int, steps: int, rows: int, tiles: int, data: st.DataObject) -> None:
    check_a_stage(seed, steps, [Way(rows, tiles)], data)


@settings(max_examples=25 if FULL else 9, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 5), st.integers(1, 5), st.integers(1, 4), st.data())
def test_any_stage_patch_by_patch(seed: int, steps: int, rows: int, columns: int, data: st.DataObject) -> None:
    check_a_stage(seed, steps, [Way(rows, columns, patches=True)], data)


def mean_at_the_end(seed: int, steps: int) -> Graph:
    """A random chain with a global average."""
    from tests.support.random_graph import QUANT
    from tinycompile.ir import Node, TensorType
    from tinycompile.ops.average_pool2d import AveragePool2D

    random = RandomGraph(seed, spatial=True)
    graph = random.grow(steps)
    last = graph.outputs[-1]
    op = AveragePool2D(graph.types[last].shape[1:3], (1, 1))
    types = {**graph.types, "mean": TensorType((1, 1, 1, graph.types[last].shape[3]), INT8, QUANT)}
    return replace(
        graph, nodes=(*graph.nodes, Node("mean", op, (last,), ("mean",))), outputs=("mean",), types=types
    ).without_dead()


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.integers(0, 100_000), st.integers(1, 4), st.floats(0, 1))
def test_the_planner_finds_stages_that_fit(seed: int, steps: int, squeeze: float) -> None:
    graph = split_averages(mean_at_the_end(seed, steps))
    planner = StagePlanner(graph, kernels_for(graph, M7), lambda site: kernels_of(site, M7))
    least = planner.plan(ram_limit=None, optimize="ram")
    layers = plan(graph, kernels_for(graph, M7), ram_limit=None, optimize="ram").arena_bytes
    assert least.arena_bytes <= layers
    limit = least.arena_bytes + int(squeeze * (layers - least.arena_bytes))
    planned = planner.plan(ram_limit=limit, optimize="speed")
    assert planned.arena_bytes <= limit
    run_planned(planned, random_inputs(graph, 1))


@pytest.mark.parametrize(
    ("model", "limit"), [("kws_ref_model", 6656), ("ic_resnet8_int8", 22528), ("vww_96_int8", 31744)]
)
def test_real_models_fit_where_layers_do_not(model: str, limit: int, shared) -> None:
    graph = split_averages(optimize(load(shared(f"models/{model}.tflite"))))
    with pytest.raises(DoesNotFitError, match="layer by layer"):
        plan(graph, kernels_for(graph, M7), ram_limit=limit, optimize="balanced")
    planner = StagePlanner(graph, kernels_for(graph, M7), lambda site: kernels_of(site, M7))
    planned = planner.plan(ram_limit=limit, optimize="balanced")
    assert planned.arena_bytes <= limit
    assert planned.arena_bytes == planned.lower_bound_bytes
    run_planned(planned, random_inputs(graph, 0))


def test_split_averages_compute_the_same() -> None:
    for seed in range(4):
        graph = mean_at_the_end(seed, 2)
        inputs = random_inputs(graph, 3)
        split = split_averages(graph)
        assert [n.op.kind for n in split.nodes][-2:] == ["spatial_sum", "mean_of_sum"]
        np.testing.assert_array_equal(run(split, inputs)["mean"], run(graph, inputs)["mean"])
