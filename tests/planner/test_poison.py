"""Plans at run time: after each layer all memory that nothing needs any more is overwritten, and nothing changes.

What is needed follows here from the graph and the addresses in the generated program alone, not from the planner's
buffers and lifetimes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.full import FULL
from tests.support.random_graph import RandomGraph
from tests.support.sanitizers import UNOPTIMIZED
from tinycompile.codegen.emit import emit_model
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Provenance
from tinycompile.frontend import load
from tinycompile.host import HostModel
from tinycompile.interpreter import run
from tinycompile.ir import Graph
from tinycompile.kernels import kernels_for
from tinycompile.passes import optimize
from tinycompile.planner import Planned, plan
from tinycompile.staging import write_files

M7 = core_named("cortex-m7", dsp=True, fpu=True)
POISON = 0xA5


def needed_after(program: Program, layer: int) -> np.ndarray:
    """One flag per byte of the arena: what later layers or the caller read."""
    needed = np.zeros(program.arena_bytes, bool)
    written = set[str]()
    for later in program.layers[layer + 1 :]:
        for tensor in later.inputs:
            if tensor.name not in written:
                needed[tensor.offset : tensor.end] = True
        written.update(tensor.name for tensor in later.outputs)
    for tensor in program.outputs:
        if tensor.name not in written:
            needed[tensor.offset : tensor.end] = True
    return needed


def compiled(program: Program, flags: Sequence[str]) -> HostModel:
    """A program for this machine."""
    with tempfile.TemporaryDirectory() as name:
        write_files(Path(name), emit_model(program, Provenance("test", "0" * 64)))
        types = [[t.type for t in tensors] for tensors in (program.inputs, program.outputs)]
        return HostModel(Path(name), "model", *types, program.arena_bytes, flags)


def run_poisoned(planned: Planned, inputs: dict[str, np.ndarray]) -> None:
    """Against the interpreter."""
    program = build_program("model", planned)
    poisoned(compiled(program, UNOPTIMIZED), program, planned.graph, inputs)


def poisoned(model: HostModel, program: Program, graph: Graph, inputs: dict[str, np.ndarray]) -> None:
    """The same with a program that is compiled."""
    live = [needed_after(program, layer) for layer in range(len(program.layers))]
    arena = np.frombuffer(model.arena, np.uint8)

    def poison(layer: int) -> None:
        arena[~live[layer]] = POISON

    arena[:] = POISON
    outputs, _ = model.trace([inputs[name] for name in graph.inputs], poison)
    expected = run(graph, inputs)
    for name, output in zip(graph.outputs, outputs, strict=True):
        np.testing.assert_array_equal(output, expected[name], err_msg=name)


def random_inputs(graph: Graph, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {n: rng.integers(-128, 128, graph.types[n].shape).astype(graph.types[n].dtype.carrier) for n in graph.inputs}


@settings(max_examples=40 if FULL else 12, deadline=None, derandomize=True)
@given(st.integers(0, 10_000), st.integers(2, 9), st.floats(0, 1))
def test_random_graphs(seed: int, steps: int, squeeze: float) -> None:
    """With a limit anywhere from the smallest arena to that of the fastest kernels."""
    graph = RandomGraph(seed).grow(steps)
    candidates = kernels_for(graph, M7)
    smallest = plan(graph, candidates, ram_limit=None, optimize="ram").arena_bytes
    fastest = plan(graph, candidates, ram_limit=None, optimize="speed").arena_bytes
    limit = smallest + int(squeeze * max(0, fastest - smallest))
    planned = plan(graph, candidates, ram_limit=limit, optimize="balanced")
    assert planned.arena_bytes <= limit
    assert planned.arena_bytes == planned.lower_bound_bytes
    run_poisoned(planned, random_inputs(graph, seed))


@pytest.mark.parametrize("optimize_for", ["speed", "ram"])
@pytest.mark.parametrize("model", ["ad01_int8", "kws_ref_model", "ic_resnet8_int8", "vww_96_int8"])
def test_real_models(model: str, optimize_for: str, shared) -> None:
    graph = optimize(load(shared(f"models/{model}.tflite")))
    planned = plan(graph, kernels_for(graph, M7), ram_limit=None, optimize=optimize_for)
    run_poisoned(planned, random_inputs(graph, 0))


def test_an_output_too_close_to_its_input_is_seen() -> None:
    """The tests above can fail: with outputs moved onto the inputs that they may only follow, results are wrong."""
    wrong = 0
    for seed in range(12):
        graph = RandomGraph(seed).grow(4)
        planned = plan(graph, kernels_for(graph, M7), ram_limit=None, optimize="ram")
        offsets = dict(planned.offsets)
        for overlap in planned.problem.overlaps:
            if overlap.distance > 0 and overlap.lower not in graph.outputs:
                offsets[overlap.lower] = offsets[overlap.upper]
        broken = replace(planned, offsets=offsets, arena_bytes=planned.arena_bytes + 4096)
        try:
            run_poisoned(broken, random_inputs(graph, seed))
        except AssertionError:
            wrong += 1
    assert wrong >= 3
