"""`--train auto`: layers alone, and the choice among them. In NumPy here; on generated C otherwise."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from tests.conftest import DIGITS
from tests.training.networks import RandomNetwork
from tinycompile.contribution import analysis as analysing
from tinycompile.contribution.analysis import (
    STEPS,
    WORK,
    Analysis,
    Candidate,
    Samples,
    candidates_of,
    steps_within,
    trainable_part,
)
from tinycompile.contribution.automatic import Automatic, automatic, depths_of
from tinycompile.contribution.choice import best
from tinycompile.errors import SamplesError, UsageError
from tinycompile.ir import Array
from tinycompile.options import Options
from tinycompile.passes.channel_facts import Trained
from tinycompile.training.scheme import layers_of, read_scheme, short_name
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer

NETWORK = RandomNetwork(3)
GRAPH = NETWORK.chain(["depthwise", "convolution"])
RNG = np.random.default_rng(2)
IMAGES = {"x": np.zeros((9, 8, 8, 1))}
"""For the digits."""


class InNumPy:
    """What `HostTrainer` does."""

    def __init__(self, step: TrainingStep) -> None:
        self.step, self.own = step, Trainer(step)

    @property
    def states(self) -> dict[str, Array]:
        return dict(self.own.states)

    def reset(self) -> None:
        self.own = Trainer(self.step)

    def train(self, label: int, x: Array) -> float:
        return self.own.train(label, x)

    def predict(self, x: Array) -> list[Array]:
        return [self.own.predict(x)[name] for name in self.step.graph.outputs]

    def state(self, name: str) -> Array:
        return self.own.states[name]

    def set_state(self, name: str, values: Array) -> None:
        self.own.states[name] = values


def test_steps_are_of_the_model_and_not_of_the_machine():
    step, _ = trainable_part(GRAPH, 0.01)
    one = step.graph.macs()
    assert steps_within(step, 200, 1) == STEPS[1]
    candidates = WORK // (100 * one + 200 * step.prediction().macs())
    assert 95 <= steps_within(step, 200, candidates) <= 105
    assert steps_within(step, 200, WORK) == STEPS[0]


def test_a_layer_alone_learns_as_its_own_scheme(monkeypatch):
    """The same bits, of every candidate."""
    monkeypatch.setattr(analysing, "HostTrainer", InNumPy)
    monkeypatch.setattr(analysing, "STEPS", (3, 3))
    inputs = RNG.integers(-128, 128, (12, *NETWORK.sample.shape)).astype(np.int8)
    samples = Samples.of(inputs, RNG.integers(0, 5, 12))
    assert (len(samples.inputs), len(samples.test_inputs)) == (9, 3)
    step, scheme = trainable_part(GRAPH, 0.05)
    candidates = candidates_of(GRAPH, scheme)
    assert {each.layer for each in candidates} == {node.name for node in layers_of(GRAPH)}
    found = Analysis(step, samples, candidates)
    for each in candidates:
        gain = found.measured(each, seed=4)
        assert (gain * 3 / 100) == pytest.approx(round(gain * 3 / 100))
        alone = Trainer(training_step(GRAPH, read_scheme(each.part, GRAPH), rate=0.05))
        assert read_scheme(each.part, GRAPH)[each.layer] == each.trained
        for index in np.random.default_rng(4).integers(0, 9, 3):
            alone.train(int(samples.labels[index]), samples.inputs[index])
        both = found._trainer.states
        for name in alone.step.parameters:
            own = alone.states[name]
            np.testing.assert_array_equal(both[name][..., : own.shape[-1]], own, f"{each.part}, {name}")


def test_the_choice_is_the_best():
    """Against all choices."""
    names, depths = ["a", "b", "c"], {"a": 90, "b": 40, "c": 0}
    for _ in range(12):
        candidates = [
            Candidate(name, f"{name}:{index}", Trained(), int(RNG.integers(5, 90)), float(RNG.integers(-4, 12)))
            for name in names
            for index in range(3)
        ]
        limit = int(RNG.integers(40, 260))
        expected = 0.0
        for chosen in product(*([None, *(each for each in candidates if each.layer == name)] for name in names)):
            some = [each for each in chosen if each is not None]
            if some and sum(each.bytes for each in some) + depths[some[0].layer] <= limit:
                expected = max(expected, sum(each.gain for each in some))
        found = best(candidates, depths, limit)
        assert sum(each.gain for each in found) == expected
        if found:
            assert sum(each.bytes for each in found) + depths[found[0].layer] <= limit
            assert len({each.layer for each in found}) == len(found)


def test_what_a_backward_pass_takes():
    _, scheme = trainable_part(GRAPH, 0.01)
    sizes = list(depths_of(GRAPH, scheme).values())
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1 + 2 * 5


def test_words_for_layers():
    """`--train` has words of its own."""
    names = ["net/stem/conv;bn", "net/stem_2/conv;bn", "head", "all/head_of/conv"]
    found = [short_name(name, names) for name in names]
    assert found == ["net/stem/conv;bn", "stem_2", "head", "head_of"]


def test_a_table():
    one, two = Candidate("a", "a:bias", Trained(), 40, 1.5), Candidate("b", "b", Trained(), 1400, -2.0)
    found = Automatic("a:bias", [one, two], [one], 50.0, 40, 300, 96)
    assert found.lines()[1:] == [
        "a:bias            +1.5 %        40  chosen",
        "b                 -2.0 %     1,400",
        "--train 'a:bias': 300 bytes of arena and 96 of states; 50.0 % before, 40 steps each",
    ]
    applied = found.applied(Options(train="auto", ram=1000))
    assert (applied.train, applied.ram) == ("a:bias", 904)


@pytest.mark.parametrize(
    ("arrays", "options", "said"),
    [
        (None, {"ram": 1000}, "needs --data"),
        (IMAGES, {}, "needs --ram"),
        (IMAGES, {"ram": 1000}, "labels are missing"),
        ({**IMAGES, "y": np.zeros(8, int)}, {"ram": 1000}, "the same number of samples"),
        ({**IMAGES, "y": np.full(9, 10)}, {"ram": 1000}, r"y\[0\] is 10, classes are 0 to 9"),
        ({**IMAGES, "label": np.zeros((9, 10), int)}, {"ram": 1000}, "label is int64 of shape"),
        ({**IMAGES, "y": np.full(9, 0.7)}, {"ram": 1000}, "y is float64 of shape"),
        ({"x": np.zeros((9, 8, 8, 1), np.uint8), "y": np.zeros(9, int)}, {"ram": 1000}, "x is uint8"),
        ({"x": np.zeros((0, 8, 8, 1)), "y": np.zeros(0, int)}, {"ram": 1000}, "at least one"),
        ({"x": np.zeros((7, 8, 8, 1)), "y": np.zeros(7, int)}, {"ram": 1000}, "7 samples are too few"),
        ({"x": np.zeros(3)}, {"ram": 1000, "loss": "squared_error"}, "is for classes"),
    ],
)
def test_mistakes(arrays, options, said, tmp_path):
    path = tmp_path / "train.npz"
    if arrays is not None:
        np.savez(path, **arrays)
        options = {**options, "train_data": path}
    with pytest.raises((SamplesError, UsageError), match=said):
        automatic(DIGITS / "digits_int8.tflite", Options(train="auto", **options))
