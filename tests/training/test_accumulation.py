"""Gradients that are added up before they change the parameters, in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.networks import RandomNetwork
from tinycompile.ir import Array
from tinycompile.training.accumulation import FRACTION_BITS, accumulating, applied
from tinycompile.training.scheme import read_scheme
from tinycompile.training.step import TrainingStep, training_of, training_step
from tinycompile.training.trainer import Trainer


@pytest.fixture(scope="module")
def plain() -> TrainingStep:
    graph = RandomNetwork(2).chain(["convolution", "relu"])
    return training_step(graph, read_scheme("all", graph), rate=0.01)


@pytest.fixture(scope="module")
def step(plain: TrainingStep) -> TrainingStep:
    return accumulating(plain)


def sample_of(step: TrainingStep, seed: int) -> Array:
    (name,) = step.graph.inputs
    return np.random.default_rng(seed).integers(-128, 128, step.graph.types[name].shape).astype(np.int8)


def test_the_sum_of_samples(step: TrainingStep) -> None:
    """Of the gradients by the parameters before all of them."""
    learner, alone = Trainer(step), list[dict[str, Array]]()
    first = dict(learner.states)
    for seed in range(3):
        one = Trainer(step)
        for each in (one, learner):
            each.accumulate(seed, sample_of(step, seed))
        alone.append({name: one.states[name].astype(np.int64) for name in step.accumulators.values()})
    before = dict(learner.states)
    learner.apply()
    for name, accumulator in step.accumulators.items():
        total = np.sum([each[accumulator] for each in alone], axis=0)
        np.testing.assert_array_equal(before[name], first[name])
        np.testing.assert_array_equal(before[accumulator], total)
        np.testing.assert_array_equal(learner.states[name], applied(before[name], total))
        assert np.any(learner.states[name] != before[name])
        assert not learner.states[accumulator].any()


def test_a_single_sample_is_a_step_but_for_a_second_rounding(plain: TrainingStep, step: TrainingStep) -> None:
    one, other = Trainer(plain), Trainer(step)
    for each in (one, other):
        each.train(1, sample_of(step, 0))
    assert plain.parameters == step.parameters
    for name in step.parameters:
        assert np.abs(one.states[name].astype(np.int64) - other.states[name]).max() <= 1


def test_limits() -> None:
    one = 1 << FRACTION_BITS
    changes = np.array([one * 300, -one * 300, one // 2, one // 2 - 1, -one // 2, -one // 2 - 1], np.int32)
    weights = np.array([32500, -32500, 5, 5, 5, 5], np.int16)
    assert applied(weights, changes).tolist() == [32639, -32640, 6, 5, 5, 4]
    biases = np.array([2**30 - 1, -(2**30) + 1, 5], np.int32)
    assert applied(biases, changes[:3]).tolist() == [2**30, -(2**30), 6]


def test_it_is_known_by_its_graph(step: TrainingStep) -> None:
    found = training_of(step.graph)
    assert found is not None
    assert found.accumulators == step.accumulators
    assert list(found.accumulators) == list(found.parameters)
    assert not any(name in found.parameters for name in found.accumulators.values())
