"""The graph of a step: what it keeps, what it leaves out, what its states become."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from tests.training.networks import KINDS, RandomNetwork, with_onnx_rules
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.interpreter import run
from tinycompile.ir import Graph, Node, Quantization, State, TensorType
from tinycompile.numerics.block_floating import DEFAULT_RATE
from tinycompile.ops._training.losses import BeginBackward
from tinycompile.ops._training.parameters import RoundedWeights
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.lookup import Lookup
from tinycompile.ops.reshape import Reshape
from tinycompile.ops.slice import Slice
from tinycompile.ops.softmax import Softmax
from tinycompile.training.scheme import has_weights, layers_of, read_scheme
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer

NETWORK = RandomNetwork(9)
GRAPH = NETWORK.grow(6, tuple(kind for kind in KINDS if kind != "grouped"))
SAMPLE = NETWORK.sample
NAMES = [node.name for node in layers_of(GRAPH)]


def step_of(text: str, graph: Graph = GRAPH) -> TrainingStep:
    return training_step(graph, read_scheme(text, graph))


def kinds(text: str) -> Counter[str]:
    return Counter(node.op.kind for node in step_of(text).graph.nodes)


def test_nothing_is_computed_below_the_first_trained_layer():
    assert kinds("head")["input_gradient"] == kinds("biases:1")["input_gradient"] == 0
    assert kinds("last:2")["input_gradient"] == 1
    assert kinds("biases:2")["weight_gradient"] == 0


def test_biases_need_bits_alone():
    """No activation is kept for them; products and maxima need their operands."""
    step = step_of("biases").graph
    begin = next(i for i, node in enumerate(step.nodes) if isinstance(node.op, BeginBackward))
    before = {name for node in step.nodes[:begin] for name in node.outputs}
    readers = {
        n.op.kind for n in step.nodes[begin + 1 :] for v in n.inputs if v in before and step.types[v].dtype == INT8
    }
    assert readers == {"product_gradient", "max_pool_gradient", "masked_gradient"}


def test_no_bits_of_what_is_kept_as_a_whole():
    step = step_of("all").graph
    begin = next(i for i, node in enumerate(step.nodes) if isinstance(node.op, BeginBackward))
    later = {name for node in step.nodes[begin + 1 :] for name in node.inputs}
    masked = [node for node in step.nodes if node.op.kind == "clamp_mask"]
    assert later.isdisjoint(node.inputs[0] for node in masked)
    assert any(node.op.kind == "masked_gradient" and node.op.clamp for node in step.nodes)  # type: ignore[attr-defined]


def test_a_prediction_before_training_is_the_models():
    trainer = Trainer(step_of("all"))
    expected = run(GRAPH, [SAMPLE])[GRAPH.outputs[0]]
    found = trainer.predict(SAMPLE)[GRAPH.outputs[0]]
    before = dict(trainer.states)
    np.testing.assert_array_equal(found, expected)
    assert trainer.states == before
    assert "input_gradient" not in {node.op.kind for node in trainer.step.prediction().nodes}
    assert "clamp_mask" not in {node.op.kind for node in trainer.step.prediction().nodes}


def test_it_learns_a_sample():
    trainer = Trainer(step_of("last:2, biases"))
    score = trainer.predict(SAMPLE)[GRAPH.outputs[0]][0, 1]
    losses = [trainer.train(1, SAMPLE) for _ in range(12)]
    assert losses[-1] < losses[0] - 0.1
    assert trainer.predict(SAMPLE)[GRAPH.outputs[0]][0, 1] > score


def test_the_learning_rate_is_a_factor():
    """Of a change that is far from rounding and from the ends."""
    changes = dict[float, int]()
    for rate in (2.0**-10, 2.0**-6):
        trainer = Trainer(step_of("biases:1"))
        trainer.set_learning_rate(rate)
        before = {k: v.astype(np.int64) for k, v in trainer.states.items()}
        trainer.train(3, SAMPLE)
        name = f"{NAMES[-1]}/bias"
        changes[rate] = int((trainer.states[name] - before[name])[3])
    slow, fast = changes.values()
    assert slow > 20
    assert abs(fast - 16 * slow) <= 16


@pytest.mark.parametrize("name", NAMES)
def test_a_part_of_the_channels_learns_as_in_the_whole(name):
    part, whole = Trainer(step_of(f"{name}:0.5")), Trainer(step_of(name))
    for trainer in (part, whole):
        trainer.train(2, SAMPLE)
    own = part.states[f"{name}/weights"]
    assert own.shape[-1] < whole.states[f"{name}/weights"].shape[-1]
    np.testing.assert_array_equal(own, whole.states[f"{name}/weights"][..., : own.shape[-1]])
    rounding = next(node for node in part.step.graph.nodes if isinstance(node.op, RoundedWeights))
    rest = part.step.graph.constants[rounding.inputs[1]]
    layer = next(node for node in GRAPH.nodes if node.name == name)
    np.testing.assert_array_equal(rest, GRAPH.constants[layer.inputs[1]][..., own.shape[-1] :])


def test_an_autoencoder_learns_its_target():
    network = RandomNetwork(6)
    graph = network.chain(["convolution"])
    step = training_step(graph, read_scheme("all", graph), "squared_error", rate=0.02)
    target = np.clip(run(graph, [network.sample])[graph.outputs[0]].astype(int) // 2 + 9, -120, 120).astype(np.int8)
    trainer = Trainer(step)
    losses = [trainer.train(target, network.sample) for _ in range(15)]
    assert losses[-1] < losses[0] / 4


def with_softmax(graph: Graph, beta: float) -> Graph:
    (scores,) = graph.outputs
    types = {**graph.types, "p": replace(graph.types[scores], quant=Quantization.per_tensor(1 / 256, -128))}
    nodes = (*graph.nodes, Node("softmax", Softmax(beta), (scores,), ("p",)))
    return replace(graph, nodes=nodes, types=types, outputs=("p",))


@pytest.mark.parametrize("beta", [1.0, 2.0, 0.7])
def test_what_softmax_multiplies_with(beta):
    (scores,), head, name = GRAPH.outputs, GRAPH.nodes[-1], f"{NAMES[-1]}/bias"
    trainer = Trainer(step_of("biases:1", with_softmax(GRAPH, beta)))
    before = trainer.states[name].astype(np.int64)
    loss = trainer.train(3, SAMPLE)
    logits = beta * run(GRAPH, [SAMPLE])[scores].ravel() * GRAPH.types[scores].scale
    powers = np.exp(logits - logits.max())
    assert loss == pytest.approx(-np.log(powers[3] / powers.sum()), abs=0.004)
    scales = GRAPH.types[head.inputs[1]].quant
    assert scales is not None
    gradient = beta * (powers / powers.sum() - (np.arange(5) == 3))
    expected = -DEFAULT_RATE * gradient / (GRAPH.types[head.inputs[0]].scale * scales.scale)
    np.testing.assert_allclose(trainer.states[name] - before, expected, rtol=0.02, atol=2)


def test_what_has_no_rule():
    table = np.arange(-128, 128).astype(np.int8).tobytes()
    last = GRAPH.nodes[-1]
    inner = GRAPH.nodes[-2]
    types = {**GRAPH.types, "function": GRAPH.types[inner.outputs[0]]}
    nodes = (*GRAPH.nodes[:-1], Node("f", Lookup(table), inner.outputs, ("function",)))
    graph = replace(GRAPH, nodes=(*nodes, replace(last, inputs=("function", *last.inputs[1:]))), types=types)
    with pytest.raises(
        UnsupportedError,
        match=r"lookup 'f': its table is of no function of real numbers[^:]*try: --train with layers behind 'f'",
    ):
        step_of("all", graph)
    step_of("head", graph)


def test_a_function_in_disguise():
    """ONNX's functions that differ from channel to channel are layers whose outputs aren't a straight line of sums."""
    graph = with_onnx_rules(RandomNetwork(4).chain(["depthwise", "convolution"]))
    first, bent, *rest = graph.nodes
    rule = bent.op.rule  # type: ignore[attr-defined]
    op = replace(bent.op, rule=replace(rule, steps=rule.steps**3 // 10**4))  # type: ignore[call-arg]
    graph = replace(graph, nodes=(first, replace(bent, op=op), *rest))
    assert [node.name for node in layers_of(graph)] == [first.name, *(node.name for node in rest if has_weights(node))]
    with pytest.raises(UnsupportedError, match=f"{bent.name}': what it computes of its sums isn't a straight line"):
        step_of("all", graph)
    step_of("last:2", graph)


def with_weights(value: int) -> Graph:
    name = GRAPH.nodes[0].inputs[1]
    weights = GRAPH.constants[name].copy()
    weights.flat[0] = value
    return replace(GRAPH, constants={**GRAPH.constants, name: weights})


def with_shared_weights() -> Graph:
    first = GRAPH.nodes[0]
    assert isinstance(first.op, Conv2D)
    graph = replace(GRAPH, nodes=(first, Node("twin", first.op, first.inputs, ("twin",)), *GRAPH.nodes[1:]))
    return replace(graph, types={**GRAPH.types, "twin": GRAPH.types[first.outputs[0]]})


@pytest.mark.parametrize(
    ("graph", "text", "said"),
    [
        (with_weights(-128), "all", "a weight is -128"),
        (with_shared_weights(), "all", "shares its weights"),
    ],
)
def test_layers_that_cannot_be_trained(graph, text, said):
    with pytest.raises(UnsupportedError, match=said):
        step_of(text, graph)


def test_sums_of_too_many_products():
    """Of 1.2 million positions."""
    shape = (1, 1100, 1100, 1)
    quant, scale = Quantization.per_tensor(0.1, 0), Quantization(np.ones(1, np.float32), np.zeros(1, np.int64), 0)
    types = {"x": TensorType(shape, INT8, quant), "y": TensorType(shape, INT8, quant)}
    types["w"] = TensorType((1, 1, 1, 1), INT8, scale)
    layer = Node("layer", Conv2D(), ("x", "w"), ("y",))
    graph = Graph("g", ("x",), ("y",), (layer,), types, {"w": np.ones((1, 1, 1, 1), np.int8)})
    with pytest.raises(UnsupportedError, match="sums of 1,210,000 products leave no room"):
        training_step(graph, read_scheme("all", graph), "squared_error")


def test_models_that_cannot_be_trained():
    state = State("s", np.zeros(1, np.int8), "s")
    stateful = replace(GRAPH, states=(state,), types={**GRAPH.types, "s": TensorType((1,), INT8)})
    floats = replace(GRAPH, types={**GRAPH.types, GRAPH.outputs[0]: TensorType((1, 5), FLOAT32)})
    several = replace(GRAPH, outputs=(*GRAPH.outputs, GRAPH.nodes[0].outputs[0]))
    types = {**GRAPH.types, "scores": replace(GRAPH.types[GRAPH.outputs[0]], shape=(5, 1))}
    last = Node("last", Reshape((5, 1)), GRAPH.outputs, ("scores",))
    places = replace(GRAPH, nodes=(*GRAPH.nodes, last), outputs=("scores",), types=types)
    types = {**GRAPH.types, "score": replace(GRAPH.types[GRAPH.outputs[0]], shape=(1, 1))}
    last = Node("last", Slice((0, 2), (1, 1), (1, 1)), GRAPH.outputs, ("score",))
    single = replace(GRAPH, nodes=(*GRAPH.nodes, last), outputs=("score",), types=types)
    assert training_step(single, read_scheme("head", single), "squared_error").classes is None
    for graph, said in (
        (single, "a single score"),
        (places, "scores are int8.5x1., those of one sample"),
        (stateful, "with states"),
        (floats, "output of float32"),
        (several, "2 outputs"),
    ):
        with pytest.raises(UsageError, match=said):
            step_of("head", graph)


def test_layers_without_a_bias_get_one():
    """Of zeros: predictions stay."""
    first = GRAPH.nodes[0]
    bare = replace(GRAPH, nodes=(replace(first, inputs=first.inputs[:2]), *GRAPH.nodes[1:]))
    trainer = Trainer(step_of("biases", bare))
    own = f"{first.name}/bias"
    assert not trainer.states[own].any()
    np.testing.assert_array_equal(trainer.predict(SAMPLE)[GRAPH.outputs[0]], run(bare, [SAMPLE])[GRAPH.outputs[0]])
    trainer.train(2, SAMPLE)
    assert trainer.states[own].any()
