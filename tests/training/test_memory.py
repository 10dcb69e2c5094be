"""RAM of a training step: what flows by rows, what is kept, what the plan needs."""

from __future__ import annotations

import pytest

from tests.planner.test_stream import M7, possible_stages, with_stages
from tests.training.networks import RandomNetwork
from tests.training.test_generated_code import SANITIZED, compare
from tinycompile.errors import DoesNotFitError
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.planner.candidates import Way
from tinycompile.plans import Plans
from tinycompile.targets import load_board
from tinycompile.training.recompute import recomputed
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import training_step


def test_a_forward_pass_by_rows_that_keeps_bits(tmp_path):
    """Layers with trained biases, and the bits of their outputs, in one stage."""
    network = RandomNetwork(3, image=(20, 8)).chain(["inverted", "inverted", "inverted"])
    step = training_step(network, read_scheme("biases", network))
    graph = own_states(step.graph)
    stage = possible_stages(graph, [Way(2)])[0]
    kinds = {node.op.kind for node in graph.nodes[stage.first : stage.last]}
    assert {"trained_layer", "clamp_mask"} <= kinds
    assert len(stage.beside) > 1
    compare(step, tmp_path, SANITIZED, steps=2, known=with_stages(graph, [stage], M7, "ram"))


@pytest.mark.parametrize("scheme", ["biases", "v2, v5, v8, biases"])
def test_gradients_that_are_computed_again(scheme, tmp_path):
    """The gradients of expanded tensors are never whole; everything is as it was."""
    network = RandomNetwork(3, image=(20, 8)).chain(["inverted", "inverted", "inverted"])
    step = training_step(network, read_scheme(scheme, network))
    graph = own_states(step.graph)
    board, options = load_board("stm32f746"), Options()
    whole = Plans(graph, board, options).layers(None, None).arena_bytes
    again = Plans(recomputed(graph, 0), board, options).layers(None, None)
    assert again.arena_bytes <= whole
    variants = {kernel.variant for kernel in again.kernels if kernel.variant.startswith("recomputed")}
    assert variants == {"recomputed_bias_gradient", "recomputed_input_gradient"}
    compare(step, tmp_path, SANITIZED, steps=2, known=again)


def test_they_are_computed_again_where_ram_is_short() -> None:
    """And no more of them than it takes."""
    network = RandomNetwork(3, image=(20, 8)).chain(["inverted", "inverted", "inverted"])
    graph = own_states(training_step(network, read_scheme("biases", network)).graph)
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
