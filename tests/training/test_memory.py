"""RAM of a training step: what flows by rows, what is kept, what the plan needs."""

from __future__ import annotations

from tests.planner.test_stream import M7, possible_stages, with_stages
from tests.training.networks import RandomNetwork
from tests.training.test_generated_code import SANITIZED, compare
from tinycompile.passes.own_states import own_states
from tinycompile.planner.candidates import Way
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
