"""What `--train` means."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.training.networks import RandomNetwork
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.passes.channel_facts import Trained
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import training_step

GRAPH = RandomNetwork(3).grow(6)
NAMES = [node.name for node in layers_of(GRAPH)]
WHOLE, BIAS = Trained(None, bias=True), Trained(bias=True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", dict.fromkeys(NAMES, WHOLE)),
        ("head", {NAMES[-1]: WHOLE}),
        ("last:2", dict.fromkeys(NAMES[-2:], WHOLE)),
        ("biases", dict.fromkeys(NAMES, BIAS)),
        ("biases:3", dict.fromkeys(NAMES[-3:], BIAS)),
        ("last:1, biases:2", {NAMES[-2]: BIAS, NAMES[-1]: WHOLE}),
        (NAMES[0], {NAMES[0]: WHOLE}),
        (f"{NAMES[-1]}:1", {NAMES[-1]: WHOLE}),
        (
            f"{NAMES[-1]}:0.5, biases:1",
            {NAMES[-1]: Trained(-(-GRAPH.types[f"{NAMES[-1]}_w"].shape[1] // 2), bias=True)},
        ),
        (
            f"{NAMES[-1]}:0.01,{NAMES[-1]}:0.02",
            {NAMES[-1]: Trained(-(-GRAPH.types[f"{NAMES[-1]}_w"].shape[1] // 50), bias=True)},
        ),
    ],
)
def test_forms(text, expected):
    assert read_scheme(text, GRAPH) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty part"),
        ("all,", "empty part"),
        ("last:0", "how many"),
        ("last:two", "how many"),
        (f"{NAMES[0]}:0", "fraction above 0"),
        (f"{NAMES[0]}:a half", "fraction above 0"),
        ("no such layer", "no layer is called that"),
        ("v", "more than one layer"),
        ("lsat:2", "try: last, if that is meant"),
        (f"{NAMES[0]}{NAMES[0]}", f"try: {NAMES[0]}, if that is meant"),
    ],
)
def test_mistakes(text, said):
    with pytest.raises(UsageError, match=said):
        read_scheme(text, GRAPH)


def test_fractions_are_exact():
    """0.07 * 100 is a little more than 7 in floats."""
    head = GRAPH.nodes[-1]
    weights = replace(GRAPH.types[head.inputs[1]], shape=(5, 100))
    graph = replace(GRAPH, types={**GRAPH.types, head.inputs[1]: weights})
    assert read_scheme(f"{head.name}:0.07", graph)[head.name].weights == 7


@pytest.mark.parametrize(("kind", "said"), [("grouped", "grouped"), ("depthwise", "multiple of the 2")])
def test_parts_that_cannot_be_trained(kind, said):
    for seed in range(20):
        network = RandomNetwork(seed)
        network.convolution("input")
        getattr(network, kind)("v0")
        inputs, depth = (network.types[name].shape[-1] for name in ("v0", "v1_w"))
        if depth != inputs:
            graph = network.grow(0)
            with pytest.raises(UnsupportedError, match=said):
                training_step(graph, {"v1": Trained(1, bias=True)})
            return
    raise AssertionError("no network has such a layer")
