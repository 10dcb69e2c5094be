"""Stages of sequences (1, T, C), as the tokens of transformers: their steps are rows of one column."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from itertools import islice

import numpy as np
import pytest

from tests.ops.samples import sampler_of
from tests.planner.test_parts import graph_of
from tests.planner.test_poison import M7, random_inputs
from tests.planner.test_stream import possible_stages, run_planned, with_stages
from tests.support.random_graph import QUANT
from tinycompile.dtypes import INT8, INT32
from tinycompile.interpreter import run
from tinycompile.ir import Graph, Node, Op, Quantization, TensorType, verify
from tinycompile.kernels import kernels_for, kernels_of
from tinycompile.ops import all_ops
from tinycompile.ops.add import Add
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.mean import Mean
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.planner import StagePlanner, plan
from tinycompile.planner.candidates import Way
from tinycompile.planner.members import Geometry
from tinycompile.planner.stage import NotStreamable, Stage
from tinycompile.planner.stages import ROWS

STEPS, WIDTH, HIDDEN = 12, 8, 20


def sequence_graph(steps: int = STEPS) -> Graph:
    """A block of an MLP with a residual sum, statistics of each step, and a softmax."""
    rng = np.random.default_rng(0)
    types, constants = {"x": TensorType((1, steps, WIDTH), INT8, QUANT)}, dict[str, np.ndarray]()
    nodes = list[Node]()

    def compute(name: str, op: Op, inputs: tuple[str, ...], channels: int, quant: Quantization = QUANT) -> None:
        types[name] = TensorType((1, steps, channels), INT8, quant)
        nodes.append(Node(name, op, inputs, (name,)))

    def dense(name: str, x: str, channels: int, clamp: tuple[int, int]) -> None:
        weights = rng.integers(-127, 128, (channels, types[x].shape[-1])).astype(np.int8)
        values = {"w": weights, "b": rng.integers(-900, 900, channels).astype(np.int32)}
        for suffix, value in values.items():
            constants[name + suffix] = value
            scale = Quantization.per_tensor(0.004, 0) if suffix == "w" else None
            types[name + suffix] = TensorType(value.shape, INT8 if suffix == "w" else INT32, scale)
        compute(name, FullyConnected(clamp=clamp), (x, name + "w", name + "b"), channels)

    dense("hidden", "x", HIDDEN, (3, 127))
    dense("back", "hidden", WIDTH, (-128, 127))
    compute("sum", Add(), ("back", "x"), WIDTH)
    compute("mean", Mean((2,), True), ("sum",), 1)
    compute("squares", SquaredDifference(), ("sum", "mean"), WIDTH)
    compute("y", Softmax(1.0), ("squares",), WIDTH, Quantization.per_tensor(1 / 256, -128))
    graph = Graph("g", ("x",), ("y",), tuple(nodes), types, constants)
    verify(graph)
    return graph


def test_a_stage_computes_the_same() -> None:
    graph = sequence_graph()
    stage = max(possible_stages(graph, ROWS), key=lambda stage: (stage.last - stage.first, stage.rows))
    assert (stage.first, stage.last, stage.tiles) == (0, len(graph.nodes), 1)
    assert all(line.row_bytes in (1, WIDTH, HIDDEN) for line in stage.lines.values())
    run_planned(with_stages(graph, [stage], M7, "speed"), random_inputs(graph, 1))


def test_the_planner_takes_less_memory_than_layer_by_layer() -> None:
    graph = sequence_graph()
    layers = plan(graph, kernels_for(graph, M7), ram_limit=None, optimize="ram")
    planner = StagePlanner(graph, kernels_for(graph, M7), lambda site: kernels_of(site, M7), "auto")
    planned = planner.plan(ram_limit=None, optimize="ram")
    assert planned.arena_bytes < layers.arena_bytes
    run_planned(planned, random_inputs(graph, 1))


@pytest.mark.parametrize("way", [Way(1, 2), Way(2, 2, patches=True)])
def test_there_are_no_columns_to_divide(way: Way) -> None:
    assert all(stage.tiles == 1 and stage.mode == "patch" for stage in possible_stages(sequence_graph(), [way]))


def sequence_samples(kind: str) -> Iterator[Graph]:
    """Uses of an operator that result in sequences of an even number of steps, as graphs."""
    sampler, rng = sampler_of(kind), np.random.default_rng(zlib.crc32(kind.encode()))
    assert sampler is not None
    for use in (sampler(rng) for _ in range(60)):
        t = use.sig.output
        if use.op.kind == kind and len(t.shape) == 3 and t.shape[0] == 1 and t.shape[1] % 2 == 0 and use.sig.inputs:
            yield graph_of(use, {}, followed=False)


def computed_by_steps(graph: Graph, stage: Stage, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a stage of one node makes of its inputs, from the operator's meaning."""
    (firing,), results = stage.firings, list[np.ndarray]()
    values = {**inputs, **graph.constants}
    for n in range(firing.firings):
        operands = [values[name] for name in firing.site.node.inputs]
        for source in firing.sources:
            first = n * source.rows.step - source.rows.before
            steps, x = np.arange(first, first + source.rows.size), operands[source.operand]
            inside = (steps >= 0) & (steps < x.shape[1])
            filled = np.where(inside[None, :, None], x.take(steps, 1, mode="clip"), source.fill)
            operands[source.operand] = filled.astype(x.dtype)
        results.extend(firing.site.node.op.evaluate(firing.site.sig, operands))
    return np.concatenate(results, axis=1)


def test_every_operator_computes_the_same_by_steps() -> None:
    """Of the operators that the samplers have with sequences; those of MLPs and norms are among them."""
    done = set[str]()
    for kind in sorted(all_ops().keys() - {"input_rows"}):
        for graph in islice(sequence_samples(kind), 4):
            try:
                stage = Way(2).stage(Geometry(graph), 0, 1)
            except NotStreamable:
                continue
            inputs = random_inputs(graph, 0)
            got, expected = computed_by_steps(graph, stage, inputs), run(graph, inputs)["y"]
            np.testing.assert_array_equal(got, expected, err_msg=kind)
            done.add(kind)
    assert {"add", "fully_connected", "logistic", "mean", "mul", "softmax", "squared_difference"} <= done, done
