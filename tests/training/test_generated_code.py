"""The C of training steps on this machine against the interpreter: parameters, losses and predictions, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.support.full import also
from tests.support.sanitizers import UNOPTIMIZED
from tests.training.networks import CLASSES, KINDS, MORE_KINDS, RandomNetwork, with_onnx_rules
from tinycompile.codegen.program import Program
from tinycompile.dtypes import INT32
from tinycompile.errors import ToolFailedError
from tinycompile.host import HostModel
from tinycompile.host_trainer import HostTrainer
from tinycompile.ir import Array
from tinycompile.planner import Planned
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer

SANITIZED = (*UNOPTIMIZED, "-fsanitize=undefined", "-fno-sanitize-recover")


def compare(
    step: TrainingStep,
    folder: Path,
    flags: Sequence[str] = UNOPTIMIZED,
    scratch: int | None = None,
    steps: int = 3,
    known: Planned | None = None,
) -> tuple[Program, HostModel]:
    """Leaves the host's model as it began."""
    learner = HostTrainer(step, flags, folder, scratch, known)
    program, host = learner.program, learner.host
    trainer, rng = Trainer(step), np.random.default_rng(0)
    (t,), target = (step.graph.types[name] for name in step.graph.inputs), step.graph.types[step.label]
    for number in range(steps):
        sample = rng.integers(-128, 128, t.shape).astype(np.int8)
        label = number if target.dtype == INT32 else rng.integers(-128, 128, target.shape).astype(np.int8)
        assert learner.train(label, sample) == trainer.train(label, sample)
        for name, found in learner.states.items():
            np.testing.assert_array_equal(found, trainer.states[name], f"{name}, {number}")
        (found,) = learner.predict(sample)
        np.testing.assert_array_equal(found, trainer.predict(sample)[step.graph.outputs[0]])
        rate = 0.003 * (number + 1)
        trainer.set_learning_rate(rate)
        learner.set_learning_rate(rate)
    learner.reset()
    (found,) = host.run([sample])
    np.testing.assert_array_equal(found, Trainer(step).predict(sample)[step.graph.outputs[0]])
    return program, host


def test_every_operator(tmp_path):
    graph = RandomNetwork(6).chain((*KINDS, *MORE_KINDS, "every_second"))
    program, host = compare(training_step(graph, read_scheme("all", graph)), tmp_path, SANITIZED)
    check_mistakes(program, host, np.zeros(graph.types["input"].shape, np.int8))
    training, text = program.training, (tmp_path / "m.c").read_text("utf-8")
    assert training is not None and training.keeping  # what a prediction doesn't compute
    assert text.count("    if (training != 0) {") == len(training.keeping)


def check_mistakes(program: Program, host: HostModel, sample: Array) -> None:
    """A label that no class has, a rate that is none: nothing is learned."""
    before = [host.state(state.tensor.offset, state.tensor.type) for state in program.states]
    for label in (-1, CLASSES):
        with pytest.raises(ToolFailedError, match="train_step returned 10"):
            host.train(label, [sample])
    for rate in ((16383, -20), (32768, -20), (20000, -65), (20000, 17)):
        with pytest.raises(ToolFailedError, match="set_learning_rate returned 10"):
            host.set_learning_rate(*rate)
    for state, old in zip(program.states, before, strict=True):
        np.testing.assert_array_equal(host.state(state.tensor.offset, state.tensor.type), old)


def test_an_autoencoder_of_onnx_of_which_parts_are_trained(tmp_path):
    graph = with_onnx_rules(RandomNetwork(3).chain(["convolution", "depthwise", "average", "add", "convolution"]))
    names = [node.name for node in layers_of(graph)]
    scheme = read_scheme(f"{names[1]}:0.4, {names[-2]}:0.3, {names[-1]}:0.7, biases", graph)
    program, _ = compare(training_step(graph, scheme, "squared_error"), tmp_path, scratch=256)
    assert "input_gradient_by_rows" in {layer.kernel.variant for layer in program.layers}
    header = (tmp_path / "m.h").read_text("utf-8")
    assert program.training is not None
    scale, zero_point = (float(found) for found in re.findall(r"_TARGET_(?:SCALE|ZERO_POINT) \(?(-?[\d.e-]+)", header))
    target = program.training.label_type
    assert (np.float32(scale), zero_point) == (np.float32(target.scale), target.zero_point)


@pytest.mark.parametrize("seed", also(*range(12)))
def test_networks(seed, tmp_path):
    graph = RandomNetwork(seed).grow(6)
    compare(training_step(graph, read_scheme("all", graph)), tmp_path)
