"""Attention over a cache of keys and values: one scale for what a step keeps and what the next one reads, and masks."""

from __future__ import annotations

import numpy as np
import pytest

from tests.quantize.test_operators import islands
from tests.quantize.test_quantize import graph_of
from tests.support.cached_attention import STATES, TOKENS, attention
from tests.support.quantized_candidate import output_sqnr
from tinycompile.dtypes import INT8
from tinycompile.frontend.declared_states import with_states
from tinycompile.frontend.onnx_file import static_model
from tinycompile.passes.shorten_states import shorten_states
from tinycompile.quantize.carried import with_states as with_carried
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.scores import bound_masks

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")


def steps(count: int, characters: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    read = rng.integers(0, characters, (count, 1)) if characters else rng.normal(0, 1, (count, 1, 8)).astype(np.float32)
    name = "token" if characters else "x"
    return [{name: value, "position": np.array([step % TOKENS])} for step, value in enumerate(read)]


@pytest.mark.parametrize("characters", [0, 7], ids=["floats", "tokens"])
def test_caches_have_one_scale(characters):
    """All of it is 8 bits, also right behind an embedding; the caches are states that are updated where they are."""
    model = attention(characters)
    data = with_carried(steps(48, characters), static_model(model, "test"), STATES)
    candidate, floats = islands(bound_masks(graph_of(model), data), data)
    assert floats == []
    assert output_sqnr(candidate, float_outputs(model, data), data) > 25
    names = [[value.name for value in edge] for edge in (model.graph.input, model.graph.output)]
    graph = shorten_states(with_states(candidate.graph, list(STATES.items()), *names, "test"))
    assert [graph.types[state.name].dtype for state in graph.states] == [INT8, INT8]
    assert {graph.producers()[state.next].op.kind for state in graph.states} == {"dynamic_update_slice"}
