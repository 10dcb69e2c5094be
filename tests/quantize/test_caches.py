"""Attention over a cache of keys and values: one scale for what a step keeps and what the next one reads, and masks."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from tests.quantize.test_operators import Net, islands
from tests.quantize.test_quantize import graph_of
from tests.support.quantized_candidate import output_sqnr
from tinycompile.dtypes import INT8
from tinycompile.frontend.declared_states import with_states
from tinycompile.frontend.onnx_file import static_model
from tinycompile.passes.shorten_states import shorten_states
from tinycompile.quantize.carried import with_states as with_carried
from tinycompile.quantize.masks import masks
from tinycompile.quantize.measure import float_outputs
from tinycompile.quantize.network import Network
from tinycompile.quantize.survey import surveyed

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

HEADS, TOKENS, SIZE = 2, 6, 4
STATES = {"keys": "keys_next", "values": "values_next"}


def attention(hidden: float = -1e4) -> onnx.ModelProto:
    """A token's step: its key and value go into the caches; what is behind its position is hidden."""
    b = Net()
    x, at = b.input((1, HEADS * SIZE)), b.input((1,), "int64", "position")
    keys, values = (b.input((HEADS, TOKENS, SIZE), name=name) for name in STATES)
    place = b.node("Unsqueeze", at, b.constant([-1]))
    query, *new = (
        b.node("Reshape", b.node("MatMul", x, b.weights(8, 8)), b.constant([HEADS, 1, SIZE])) for _ in range(3)
    )
    turned = {"perm": [1, 0, 2]}
    cached = [
        b.node(
            "Transpose",
            b.node("ScatterND", *(b.node("Transpose", c, **turned), place, b.node("Transpose", n, **turned))),
            **turned,
        )
        for c, n in zip((keys, values), new, strict=True)
    ]
    scores = b.node("Div", b.node("MatMul", query, b.node("Transpose", cached[0], perm=[0, 2, 1])), b.number(2.0))
    later = b.node("Greater", b.constant(np.arange(TOKENS)), at)
    weights = b.node("Softmax", b.node("Where", later, b.number(hidden), scores), axis=-1)
    mixed = b.node("Reshape", b.node("MatMul", weights, cached[1]), b.constant([1, HEADS * SIZE]))
    b.output(b.node("MatMul", mixed, b.weights(8, 4)))
    for value, name in zip(cached, STATES.values(), strict=True):
        b.nodes.append(onnx.helper.make_node("Identity", [value], [name]))
        b.output(name)
    return b.model()


def steps(count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {"x": rng.normal(0, 1, (1, 8)).astype(np.float32), "position": np.array([step % TOKENS])}
        for step in range(count)
    ]


def test_caches_have_one_scale():
    """All of it is 8 bits, and the caches are states that are updated where they are."""
    model = attention()
    static = static_model(model, "test")
    data = with_carried(steps(48), static, STATES)
    candidate, floats = islands(graph_of(model), data)
    assert floats == []
    assert output_sqnr(candidate, float_outputs(model, data), data) > 25
    names = [[value.name for value in edge] for edge in (model.graph.input, model.graph.output)]
    graph = shorten_states(with_states(candidate.graph, list(STATES.items()), *names, "test"))
    assert [graph.types[state.name].dtype for state in graph.states] == [INT8, INT8]
    assert {graph.producers()[state.next].op.kind for state in graph.states} == {"dynamic_update_slice"}


@pytest.mark.parametrize(("hidden", "narrow"), [(-1e4, True), (-np.inf, True), (-2.0, False)])
def test_masked_elements_need_no_range(hidden: float, narrow: bool):
    """Unless they are no lower than others."""
    model = attention(hidden)
    data = with_carried(steps(24), static_model(model, "test"), STATES)
    network = Network(graph_of(model), data)
    ((name, mask),) = masks(network.graph).items()
    found, kept = surveyed(network, data)[0][name], network.floats[name]
    largest = np.where(mask.keeps(kept), kept, -np.inf).max(axis=-1)
    assert found.bounds[0] == (pytest.approx(largest.min() - np.log(2**8 * TOKENS)) if narrow else -np.inf)
    assert mask.kept not in network.rounded
