"""RAM of a training step: what flows by rows, what is kept, what the plan needs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.conftest import DIGITS
from tests.planner.test_stream import M7, possible_stages, with_stages
from tests.training.networks import RandomNetwork
from tests.training.test_generated_code import SANITIZED, compare
from tinycompile.cli import main
from tinycompile.errors import DoesNotFitError
from tinycompile.ir import Graph, Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.passes.stream_input import stream_input
from tinycompile.planner.candidates import Way
from tinycompile.plans import Plans
from tinycompile.targets import Core, load_board
from tinycompile.training.recompute import recomputed
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step

BLOCKS = RandomNetwork(3, image=(20, 8)).chain(["inverted", "inverted", "inverted"])
LAYERS = RandomNetwork(5, image=(9, 8)).chain(["convolution", "grouped", "dense", "depthwise", "convolution"])


def test_a_forward_pass_by_rows_that_keeps_bits(tmp_path: Path) -> None:
    """Layers with trained biases, and the bits of their outputs, in one stage; the caller gives rows of the input."""
    step = training_step(BLOCKS, read_scheme("biases", BLOCKS))
    graph = stream_input(own_states(step.graph))
    stages = possible_stages(graph, [Way(2)])
    stage, first = stages[0], next(stage for stage in stages if stage.first == 0)
    kinds = {node.op.kind for node in graph.nodes[stage.first : stage.last]}
    assert {"trained_layer", "clamp_mask"} <= kinds
    assert len(stage.beside) > 1
    assert first.last <= stage.first
    compare(step, tmp_path, SANITIZED, steps=2, known=with_stages(graph, [first, stage], M7, "ram"))


FRUGAL = (
    *("recomputed_bias_gradient", "recomputed_input_gradient", "input_gradient_in_place"),
    *("layer_of_master", "input_gradient_of_master"),
)


def frugal_first(site: Site, core: Core) -> list[Kernel]:
    """Kernels as if those that keep least cost nothing."""
    return [replace(k, instructions=0) if k.variant.startswith(FRUGAL) else k for k in kernels_of(site, core)]


@pytest.mark.parametrize(
    ("network", "scheme", "expected"),
    [(BLOCKS, "v7:0.5, biases", FRUGAL[:3]), (LAYERS, "v1:0.4, v2, v4:0.5, last:2", (FRUGAL[1], *FRUGAL[3:]))],
    ids=["blocks", "layers"],
)
def test_what_is_never_whole(network: Graph, scheme: str, expected: tuple[str, ...], tmp_path: Path) -> None:
    """Gradients and rounded weights of every kind of layer: everything is as it was."""
    step = training_step(network, read_scheme(scheme, network))
    graph = recomputed(own_states(step.graph), 0)
    planned = Plans(graph, load_board("stm32f746"), Options(), frugal_first).layers(1 << 20, None)
    variants = [kernel.variant for kernel in planned.kernels]
    assert all(any(variant.startswith(kind) for variant in variants) for kind in expected), variants
    compare(step, tmp_path, SANITIZED, steps=2, known=planned)


def test_they_are_computed_again_where_ram_is_short() -> None:
    """And no more of them than it takes."""
    graph = own_states(training_step(BLOCKS, read_scheme("biases", BLOCKS)).graph)
    plans = Plans(graph, load_board("stm32f746"), Options())
    least, most = plans.stages(None).arena_bytes, plans.layers(None, None).arena_bytes
    assert least < most
    limits = (least, (least + most) // 2, most)
    found = [plans.stages(limit) for limit in limits]
    assert all(planned.arena_bytes <= limit for planned, limit in zip(found, limits, strict=True))
    many = [sum(k.variant.startswith("recomputed") for k in planned.kernels) for planned in found]
    assert many[0] >= many[1] > many[2] == 0
    with pytest.raises(DoesNotFitError):
        plans.stages(least - 500)


def test_a_plan_says_what_states_take() -> None:
    model = str(DIGITS / "digits_int8.tflite")
    text = CliRunner().invoke(main, ["plan", model, "--train", "head"]).output
    facts = json.loads(CliRunner().invoke(main, ["plan", model, "--train", "head", "--json"]).output)
    arena, states = (facts["models"][0][key] for key in ("arena_bytes", "state_bytes"))
    assert f"and {states:,} bytes of states beside it: {arena + states:,} bytes together" in text
