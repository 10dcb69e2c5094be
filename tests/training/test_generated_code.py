"""The C of training steps on this machine against the interpreter: parameters, losses and predictions, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks.training_digest import training_main
from tests.support.full import also
from tests.support.graph_build import ORIGIN
from tests.training.networks import CLASSES, KINDS, MORE_KINDS, RandomNetwork, with_onnx_rules
from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.program import Program, build_program
from tinycompile.codegen.project import Project
from tinycompile.dtypes import INT32
from tinycompile.errors import ToolFailedError
from tinycompile.host import HostModel
from tinycompile.ir import Array
from tinycompile.layout import choose_ram
from tinycompile.numerics.block_floating import factor
from tinycompile.options import Options
from tinycompile.passes.own_states import own_states
from tinycompile.planner import Planned
from tinycompile.plans import Plans
from tinycompile.staging import write_files
from tinycompile.targets import load_board
from tinycompile.training.scheme import layers_of, read_scheme
from tinycompile.training.step import TrainingStep, training_step
from tinycompile.training.trainer import Trainer

SANITIZED = ("-O0", "-fsanitize=undefined", "-fno-sanitize-recover")


def built(
    step: TrainingStep, folder: Path, flags: Sequence[str], scratch: int | None, known: Planned | None = None
) -> tuple[Program, HostModel]:
    """`scratch`: a limit for each layer. `known`: another plan than by layers."""
    board, options = load_board("stm32f746"), Options()
    plans = Plans(own_states(step.graph), board, options)
    (planned,), layout = choose_ram(
        board,
        lambda schedule, ram, _: [known or plans.within(schedule, ram, scratch)],
        options.ram,
        state_bytes=plans.state_bytes,
    )
    program = build_program("m", planned)
    write_files(folder, emit_project(Project(board, layout, (program,), (ORIGIN,))))
    label = step.graph.types[step.label]
    return program, HostModel(
        folder,
        "m",
        [step.graph.types[name] for name in step.graph.inputs],
        [step.graph.types[name] for name in step.graph.outputs],
        program.arena_bytes,
        flags,
        label=label,
    )


def compare(
    step: TrainingStep,
    folder: Path,
    flags: Sequence[str] = ("-O0",),
    scratch: int | None = None,
    steps: int = 3,
    known: Planned | None = None,
) -> tuple[Program, HostModel]:
    """Leaves the host's model as it began."""
    program, host = built(step, folder, flags, scratch, known)
    trainer, rng = Trainer(step), np.random.default_rng(0)
    (t,), target = (step.graph.types[name] for name in step.graph.inputs), step.graph.types[step.label]
    for number in range(steps):
        sample = rng.integers(-128, 128, t.shape).astype(np.int8)
        label = number if target.dtype == INT32 else rng.integers(-128, 128, target.shape).astype(np.int8)
        assert host.train(label, [sample]) == round(trainer.train(label, sample) * 65536)
        for state in program.states:
            found = host.state(state.tensor.offset, state.tensor.type)
            np.testing.assert_array_equal(found, trainer.states[state.tensor.name], f"{state.tensor.name}, {number}")
        (found,) = host.run([sample])
        np.testing.assert_array_equal(found, trainer.predict(sample)[step.graph.outputs[0]])
        rate = 0.003 * (number + 1)
        trainer.set_learning_rate(rate)
        host.set_learning_rate(*factor(rate))
    host.reset()
    (found,) = host.run([sample])
    np.testing.assert_array_equal(found, Trainer(step).predict(sample)[step.graph.outputs[0]])
    return program, host


def test_every_operator(tmp_path):
    graph = RandomNetwork(6).chain(KINDS + MORE_KINDS)
    program, host = compare(training_step(graph, read_scheme("all", graph)), tmp_path, SANITIZED)
    check_mistakes(program, host, np.zeros(graph.types["input"].shape, np.int8))
    check_firmware_that_trains((tmp_path / "firmware" / "main.c").read_text("utf-8"))


def check_firmware_that_trains(main: str) -> None:
    """`benchmarks.training_digest` runs it on six cores."""
    text = training_main(main, "m", CLASSES)
    assert "m_train_step(&context, (int32_t)((step - 1u) % 5u), NULL)" in text
    assert "semihosting_write(file, context.state, M_STATE_BYTES)" in text


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


@pytest.mark.parametrize("seed", also(*range(12)))
def test_networks(seed, tmp_path):
    graph = RandomNetwork(seed).grow(6)
    compare(training_step(graph, read_scheme("all", graph)), tmp_path)
