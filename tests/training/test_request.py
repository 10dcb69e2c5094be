"""`--train` in a file, new classes, lite residual modules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.training.networks import KINDS, RandomNetwork, with_onnx_rules
from tests.training.test_step import with_softmax
from tinycompile.errors import MismatchError, UsageError
from tinycompile.interpreter import run
from tinycompile.ir import Graph, Quantization, verify
from tinycompile.training.new_classes import with_classes
from tinycompile.training.request import Request, read_request, requested_step
from tinycompile.training.scheme import MODULE, layers_of, read_scheme
from tinycompile.training.trainer import Trainer
from tinycompile.verify.reference import shaped

NETWORK = RandomNetwork(6)
GRAPH = NETWORK.chain(["depthwise", "convolution", "average", "convolution"])
SAMPLE = NETWORK.sample
NAMES = [node.name for node in layers_of(GRAPH)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('train = "last:2, biases"', Request("last:2, biases")),
        ('train = ["head", "biases:3"]\nclasses = 7\nseed = 2', Request("head, biases:3", 7, 2)),
        ('[layers]\nv3 = 0.25\nv4 = "all"\n"a/b" = "bias"', Request("v3:0.25, v4, a/b:bias")),
    ],
)
def test_a_file(text, expected, tmp_path):
    path = tmp_path / "train.toml"
    path.write_text(text, "utf-8")
    assert read_request(str(path)) == expected
    assert read_request(str(path), 9).classes == 9


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train = ", "no TOML file can be read"),
        ('scheme = "all"', "'scheme' is no key of it"),
        ("train = 3", "neither text nor a list"),
        ('train = "all"\nclasses = "two"', "classes = 'two' is no number"),
        ("[layers]\na = true", "layer 'a' = True"),
        ("layers = 3", "layers = 3 is no table"),
        ("", "nothing is to be trained"),
    ],
)
def test_mistakes_in_a_file(text, said, tmp_path):
    path = tmp_path / "train.toml"
    path.write_text(text, "utf-8")
    with pytest.raises(UsageError, match=said):
        read_request(str(path))


def test_what_a_build_remembers_of_a_file():
    assert read_request("head, seed:3, lite:1", 4) == Request("head, lite:1", 4, 3)
    assert read_request(Request("all", None, 7).text) == Request("all", None, 7)
    assert Request("all").text == "all"
    for text in ("all, seed:x", "all, seed:1, seed:2"):
        with pytest.raises(UsageError, match="a seed is one number"):
            read_request(text)


def test_a_file_that_is_missing():
    with pytest.raises(UsageError, match="no TOML file can be read"):
        read_request(str(Path("nowhere") / "train.toml"))


def test_the_bias_of_one_layer():
    scheme = read_scheme(f"{NAMES[1]}:bias", GRAPH)
    assert [(name, own.weights, own.bias) for name, own in scheme.items()] == [(NAMES[1], 0, True)]


@pytest.mark.parametrize("form", [lambda graph: graph, with_onnx_rules, lambda graph: with_softmax(graph, 1.0)])
@pytest.mark.parametrize("classes", [3, 5, 8])
def test_new_classes(form, classes):
    """The model's own scores stay where there are more; the same seed gives the same head."""
    graph = form(GRAPH)
    changed = with_classes(graph, classes, seed=4)
    verify(changed)
    scores = changed.nodes[-1].outputs[0] if form is with_onnx_rules else GRAPH.outputs[0]
    old, new = (run(own, [SAMPLE])[scores].ravel() for own in (graph, changed))
    assert new.size == changed.types[changed.outputs[0]].shape[-1] == classes
    assert np.array_equal(new[:5], old) == (classes > 5)
    assert len(set(new[5:].tolist())) == max(0, classes - 5)
    np.testing.assert_array_equal(new, run(with_classes(graph, classes, seed=4), [SAMPLE])[scores].ravel())
    trainer = Trainer(requested_step(graph, Request("head", classes), rate=0.03))
    for _ in range(20):
        trainer.train(classes - 1, SAMPLE)
    assert int(np.argmax(trainer.predict(SAMPLE)[scores])) == classes - 1


@pytest.mark.parametrize("form", [lambda graph: graph, with_onnx_rules])
@pytest.mark.parametrize(("zero_point", "bare"), [(-128, False), (127, True), (-125, True), (3, False)])
def test_new_scores_have_room(form, zero_point, bare):
    """Whatever their zero is, also behind ReLU; the model's own scores stay."""
    head = GRAPH.nodes[-1]
    scores = head.outputs[0]
    t = replace(GRAPH.types[scores], quant=Quantization.per_tensor(GRAPH.types[scores].scale, zero_point))
    op = replace(head.op, clamp=(3, 127)) if zero_point == 3 else head.op
    head = replace(head, op=op, inputs=head.inputs[:2] if bare else head.inputs)
    graph = form(replace(GRAPH, nodes=(*GRAPH.nodes[:-1], head), types={**GRAPH.types, scores: t}))
    changed = with_classes(graph, 8)
    verify(changed)
    old, new = (run(own, [SAMPLE])[scores].ravel() for own in (graph, changed))
    np.testing.assert_array_equal(new[:5], old)
    assert np.count_nonzero((new[5:] > op.clamp[0]) & (new[5:] < op.clamp[1])) >= 2  # weights are random


def test_models_without_such_a_head():
    headless = replace(GRAPH, nodes=GRAPH.nodes[:-1], outputs=GRAPH.nodes[-2].outputs)
    for graph, classes, said in (
        (headless, 4, "it ends with"),
        (GRAPH, 1, "no number of classes"),
        (replace(GRAPH, outputs=(*GRAPH.outputs, *GRAPH.nodes[0].outputs)), 4, "2 outputs"),
    ):
        with pytest.raises(UsageError, match=said):
            with_classes(graph, classes)


def modules(graph: Graph) -> list[str]:
    return [name for name in (node.name for node in graph.nodes) if MODULE in name]


@pytest.mark.parametrize("seed", range(6))
def test_modules_change_nothing_before_training(seed):
    network = RandomNetwork(seed)
    graph = network.grow(5, tuple(kind for kind in KINDS if kind != "dense"))
    trainer = Trainer(requested_step(graph, Request("lite:9, head")))
    assert modules(trainer.step.graph)
    found = trainer.predict(network.sample)
    values = run(graph, [network.sample])
    for node in graph.nodes:
        np.testing.assert_array_equal(found[node.outputs[0]], values[node.outputs[0]], node.name)


def test_modules_learn_alone():
    step = requested_step(GRAPH, Request(f"lite:{NAMES[2]}, lite:1"), rate=0.1)
    trainer = Trainer(step)
    losses = [trainer.train(3, SAMPLE) for _ in range(30)]
    assert losses[-1] < losses[0] - 0.05
    trained = {name.rpartition("/")[0] for name in trainer.states if MODULE in name}
    assert len(trained) == 4


def test_a_module_beside_relu_learns():
    """A layer with the lowest of its values as zero."""
    network = RandomNetwork(6)
    graph = network.chain(["convolution", "convolution"])
    layer = layers_of(graph)[1]
    y = layer.outputs[0]
    quant = Quantization.per_tensor(graph.types[y].scale, -128)
    graph = replace(graph, types={**graph.types, y: replace(graph.types[y], quant=quant)})
    trainer = Trainer(requested_step(graph, Request(f"lite:{layer.name}"), rate=0.1))
    before = dict(trainer.states)
    np.testing.assert_array_equal(trainer.predict(network.sample)[y], run(graph, [network.sample])[y])
    for _ in range(2):
        trainer.train(3, network.sample)
    assert all(np.any(trainer.states[name] != before[name]) for name in trainer.step.parameters)


def test_no_module_beside_what_is_no_convolution():
    with pytest.raises(UsageError, match="no lite residual module goes beside"):
        requested_step(GRAPH, Request(f"lite:{NAMES[-1]}"))


def test_an_output_that_the_file_does_not_have():
    entry = {"name": "scores", "shape": [1, 3]}
    np.testing.assert_array_equal(shaped(np.arange(3), entry), [[0, 1, 2]])
    with pytest.raises(MismatchError, match="5 elements, the firmware's is 1x3"):
        shaped(np.zeros(5), entry)
