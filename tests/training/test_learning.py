"""`train` and `verify --train`: the same generated C here and in QEMU, and NumPy."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.support.onnx_builder import OnnxBuilder
from tests.support.serial_board import bad_cable, emulated
from tinycompile import compile as compile_model
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.cli.training import as_facts, verify_steps
from tinycompile.errors import FloatIslandWarning, MismatchError, SamplesError, ToolFailedError, UsageError
from tinycompile.learning import verify as learning_verify
from tinycompile.learning.data import load_data
from tinycompile.learning.definition import step_of
from tinycompile.learning.device import Command, Kind, batches, device_of
from tinycompile.learning.on_board import OnBoard
from tinycompile.learning.train import train_build
from tinycompile.learning.verify import verify_training
from tinycompile.serial_link.console import Place, console_of
from tinycompile.toolchain import make, require, run
from tinycompile.training.start import starting_with
from tinycompile.training.trainer import Trainer

CLASSES, SAMPLES, STEPS = 3, 24, 4


def model_file(path: Path) -> Path:
    """Two layers, of 8 inputs."""
    b, rng = OnnxBuilder(21), np.random.default_rng(0)
    x = b.activation(b.input((1, 8)), 1 / 64, 0)
    for number, width in enumerate((6, CLASSES)):
        w = b.weights(rng.integers(-127, 128, ((8, 6)[number], width)).astype(np.int8), 0.01, 0)
        x = b.activation(b.node("MatMul", x, w), 1 / 16, 0)
    b.output(x)
    path.write_bytes(b.model().SerializeToString())
    return path


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("learning")
    file = model_file(folder / "net.onnx")
    return compile_model(
        file,
        "mps2-an386",
        output=folder / "out",
        train="all",
        learning_rate=0.05,
        io="int8",
        accumulate=True,
        export_gradient="topk=10%",
    )


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Inputs whose largest third of values says the class."""
    rng, path = np.random.default_rng(1), tmp_path_factory.mktemp("samples") / "train.npz"
    labels = np.arange(SAMPLES) % CLASSES
    inputs = rng.normal(0, 0.2, (SAMPLES, 8)).astype(np.float32)
    inputs[np.arange(SAMPLES), labels] += 1
    np.savez(path, input_0=inputs, label=labels)
    return path


def test_steps_are_what_they_are_by_definition(build: Build) -> None:
    """Here and in QEMU, on samples that nobody gave."""
    found = verify_training(build, STEPS)
    assert found.difference is None
    assert found.devices == ("this machine", "QEMU's mps2-an386")
    states = sum(np.prod(state["shape"], dtype=int) for state in build.report["states"])
    assert found.values == 2 * (STEPS * (states + 1) + CLASSES)
    assert found.instructions is not None and found.prediction is not None
    assert found.instructions > found.prediction > 0
    assert found.moved > 0
    assert build.report["verify_training"]["first_difference"] is None
    assert build.report["verify_training"]["instructions_per_step"] > 0


def test_values_are_called_what_they_are(build: Build) -> None:
    """By their layer and their own word: a firmware engineer reads this."""
    text = (build.folder / "net.c").read_text("utf-8")
    for name in ("weights", "weights_accumulator", "weight_gradient", "weight_gradient_exponent", "loss_gradient"):
        assert re.search(rf"_t \*const [a-z]\w+_{name} = ", text), name


@pytest.mark.parametrize("switch", ["", "-DTC_BRING_MEMORY"])
def test_it_is_cpp_too(build: Build, switch: str) -> None:
    """The model's own file as C++, without a warning."""
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]
    command = [require("g++"), "-std=c++11", "-fsyntax-only", *warnings, *switch.split(), "-x", "c++", "net.c"]
    run(command, cwd=build.folder)


def test_a_difference_is_found(build: Build, samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a definition with parameters that the code doesn't begin with."""
    other, step = Build(build.folder), step_of(build)
    name = step.parameters[0]
    parameters = {n: Trainer(step).states[n].copy() for n in step.parameters}
    parameters[name].flat[5] += 1
    monkeypatch.setattr(learning_verify, "step_of", Mock(return_value=starting_with(step, parameters, "test")))
    monkeypatch.setattr(learning_verify, "update_report", Mock())
    data = load_data(build, samples)
    found = verify_training(other, STEPS, data.inputs, data.labels).difference
    assert found is not None
    assert (found.step, found.state, found.count) == (1, name, 1)
    assert found.expected - found.got == 1
    with pytest.raises(MismatchError, match=r"after step 1 on this machine: expected -?\d+, got -?\d+; 1 differ"):
        verify_steps(build, samples, STEPS, as_json=False)


def image_file(path: Path) -> Path:
    """Planes in, 20 probabilities of float32 out."""
    b, rng = OnnxBuilder(17), np.random.default_rng(0)
    x = b.activation(b.input((1, 2, 5, 4)), 1 / 64, 0)
    w = b.weights(rng.integers(-127, 128, (20, 2, 3, 3)).astype(np.int8), 0.01, 0)
    x = b.activation(b.node("Conv", x, w), 1 / 8, 0)
    x = b.activation(b.node("GlobalAveragePool", x), 1 / 16, 0)
    b.output(b.node("Softmax", b.node("Flatten", x)))
    path.write_bytes(b.model().SerializeToString())
    return path


def test_rows_and_probabilities_are_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows have channels last, in contrast to the model's planes; exponentials are rounded as `verify` allows it."""
    file = image_file(tmp_path / "net.onnx")
    with pytest.warns(FloatIslandWarning):
        build = compile_model(file, "host", output=tmp_path / "out", train="all", input_stream="rows", pareto=False)
        rounded = verify_training(build, STEPS)
        predict = Trainer.predict
        monkeypatch.setattr(Trainer, "predict", lambda *given: {k: v * 1.001 for k, v in predict(*given).items()})
        wrong = verify_training(build, STEPS)
    assert rounded.difference is None and rounded.moved > 0
    assert wrong.difference is not None and wrong.difference.state == "output 0"


def test_it_learns_the_same_everywhere(build: Build, samples: Path, tmp_path: Path) -> None:
    data, rate = load_data(build, samples), 0.03
    found = [train_build(build, device_of(build, on), data, epochs=2, rate=rate, seed=3) for on in ("host", "qemu")]
    trainer, rng = Trainer(step_of(build)), np.random.default_rng(3)
    trainer.set_learning_rate(rate)
    for _ in range(2):
        for i in rng.permutation(SAMPLES):
            trainer.train(data.labels[i], data.inputs[0][i])
    for training in found:
        assert set(training.parameters) == set(trainer.step.parameters)
        for name, array in training.parameters.items():
            np.testing.assert_array_equal(array, trainer.states[name])
        assert training.epochs[0].loss > training.epochs[1].loss
        assert 0 < training.epochs[1].changed <= training.epochs[1].weights == 8 * 6 + 6 * CLASSES
    assert [training.epochs[0].instructions > 0 for training in found] == [False, True]
    facts = as_facts(build, found[1], None)
    assert json.loads(json.dumps(facts)) == facts
    assert [epoch["weights"] for epoch in facts["epochs"]] == [8 * 6 + 6 * CLASSES] * 2
    checkpoints = [training.checkpoint for training in found]
    assert checkpoints[0][36:] == checkpoints[1][36:]  # behind the header with how many were saved
    host = device_of(build, "host")
    host.slots[1][:] = checkpoints[1]
    assert host.execute([Command(Kind.LOAD)])[0].number == int.from_bytes(checkpoints[1][28:32], "little")


def test_firmwares_learn_one_model_with_a_server(build: Build, samples: Path) -> None:
    """By the parts of examples/federated_digits: they send what this machine's devices send, round by round."""
    spec = importlib.util.spec_from_file_location("federated_digits", ROOT / "examples/federated_digits/federated.py")
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    data = load_data(build, samples)
    images, labels = data.inputs[0], data.labels[:, 0]
    found: list[tuple[list[int], dict[str, np.ndarray]]] = []
    for on in ("host", "qemu"):
        clients = [example.Client(build, on, images[i::2], labels[i::2], i) for i in range(2)]
        before = clients[0].parameters
        sizes = example.federated(example.server_of(build), clients, rounds=3, steps=4)
        for name, values in clients[0].parameters.items():
            np.testing.assert_array_equal(values, clients[1].parameters[name])
        assert any(np.any(before[name] != values) for name, values in clients[0].parameters.items())
        found.append((sizes, clients[0].parameters))
    (sizes, parameters), (others, again) = found
    assert sizes == others and sizes[0] > sizes[-1]
    assert all(np.array_equal(parameters[name], values) for name, values in again.items())
    with pytest.raises(ToolFailedError):  # nothing was begun
        example.Client(build, "qemu", images, labels, 0).message(None, 1)


def test_runs_of_the_firmware_end_where_a_checkpoint_has_everything() -> None:
    """Not before what a step left in label, loss and accumulators is read."""
    sample = [np.zeros(10, np.int8)]
    learn, add, predict = (Command(kind, sample) for kind in (Kind.TRAIN, Kind.ACCUMULATE, Kind.PREDICT))
    states, apply = Command(Kind.STATES), Command(Kind.APPLY)
    commands = [learn, states, learn, states, add, states, predict, add, apply, states, add, apply, predict]
    found = list(batches(commands, 10))
    assert [len(batch) for batch in found] == [2, 2, 6, 2, 1]
    assert [command for batch in found for command in batch] == commands
    assert list(batches(commands)) == [commands]


def test_batches(build: Build, samples: Path) -> None:
    """A step of the mean of 5 samples' gradients; the last one of each epoch is of 4."""
    data, batch = load_data(build, samples), 5
    training = train_build(build, device_of(build, "host"), data, epochs=2, rate=0.1, batch=batch, seed=3)
    trainer, rng = Trainer(step_of(build)), np.random.default_rng(3)
    trainer.set_learning_rate(0.1 / batch)
    for _ in range(2):
        for number, i in enumerate(rng.permutation(SAMPLES)):
            trainer.accumulate(data.labels[i], data.inputs[0][i])
            if number % batch == batch - 1 or number == SAMPLES - 1:
                trainer.apply()
    for name, array in training.parameters.items():
        np.testing.assert_array_equal(array, trainer.states[name])
    other = Build(build.folder)
    other.report = {**build.report, "options": {**build.report["options"], "accumulate": False}}
    with pytest.raises(UsageError, match="a batch of 2 samples needs a model that adds up gradients"):
        train_build(other, Mock(), data, epochs=1, batch=2)


def test_counters(build: Build, samples: Path) -> None:
    """What was right of what was seen: the first of the highest scores, as NumPy has it."""
    data, host, trainer, counters = load_data(build, samples), build.host, Trainer(step_of(build)), (0, 0)
    host.restart()
    output = trainer.step.graph.outputs[0]
    found = [int(trainer.predict(sample)[output].argmax()) for sample in data.inputs[0]]
    for sample, label in zip(data.inputs[0], data.labels[:, 0], strict=True):
        counters = host.evaluate(int(label), [sample], counters)
    assert counters == (np.count_nonzero(found == data.labels[:, 0]), SAMPLES)
    with pytest.raises(ToolFailedError, match="evaluate returned 10"):
        host.evaluate(CLASSES, [data.inputs[0][0]], counters)


def test_train_writes_a_build_that_begins_with_what_was_learned(build: Build, samples: Path, tmp_path: Path) -> None:
    out = tmp_path / "trained"
    arguments = ["train", str(build.folder), "--data", str(samples), "--epochs", "3", "-o", str(out)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines[:4]] == ["epoch 1", "epoch 2", "epoch 3", "before"]
    assert f"after {3 * SAMPLES} steps: " in lines[3]
    assert "net_checkpoint.bin" in lines[4]
    trained = Build(out)
    parameters = dict(np.load(out / trained.report["options"]["parameters"]))
    step = step_of(trained)
    assert {name: state.tolist() for name, state in Trainer(step).states.items() if name in step.parameters} == {
        name: array.tolist() for name, array in parameters.items()
    }
    data, trainer = load_data(build, samples), Trainer(step)
    scores = [trainer.predict(sample)[step.graph.outputs[0]] for sample in data.inputs[0]]
    right = sum(int(score.argmax()) == label for score, label in zip(scores, data.labels[:, 0], strict=True))
    assert lines[3].endswith(f"steps: {100 * right / SAMPLES:.1f} % of {SAMPLES} right")
    assert trained.report["training"]["checkpoint"] != build.report["training"]["checkpoint"]
    refused = CliRunner().invoke(main, ["verify", str(out), "--samples", str(samples)])
    assert refused.exit_code == 2
    assert "no reference has what this model has learned" in refused.stderr
    mine = Path(shutil.copytree(build.folder, tmp_path / "mine")) / "net_checkpoint.bin"
    mine.write_bytes(b"of the user")
    kept = CliRunner().invoke(main, [*arguments[:-1], str(mine.parent)])
    assert kept.exit_code == 2 and mine.read_bytes() == b"of the user"
    assert "the build would overwrite files of yours" in kept.stderr and mine.name in kept.stderr
    over = CliRunner().invoke(main, ["train", str(out), "--data", str(samples), "-o", str(out)])
    assert over.exit_code == 2
    assert "the output folder is the build that learns" in over.stderr


@pytest.mark.parametrize(
    ("label", "said"),
    [
        (None, "label is missing"),
        (np.zeros(SAMPLES), "label is float64 of shape (24,)"),
        (np.zeros((SAMPLES, CLASSES), np.int64), "label is int64 of shape (24, 3)"),
        (np.int64(0), "label is int64 of shape ()"),
        (np.arange(SAMPLES) - 1, "label[0] is -1, classes are 0 to 2"),
        (np.zeros(SAMPLES - 1, np.int64), "the same number of samples"),
    ],
)
def test_labels_that_are_none(build: Build, samples: Path, tmp_path: Path, label: np.ndarray | None, said: str) -> None:
    arrays: dict[str, Any] = {"x": np.load(samples)["input_0"], **({} if label is None else {"label": label})}
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(SamplesError) as caught:
        load_data(build, tmp_path / "x.npz")
    assert said in str(caught.value)


@pytest.mark.parametrize("names", [("x", "label"), ("x", "y"), ("input_0", "labels")])
def test_labels_belong_to_the_inputs_of_their_number(
    build: Build, samples: Path, tmp_path: Path, names: tuple[str, str]
) -> None:
    given, (x, y) = np.load(samples), names
    other = {"x": "input_0", "input_0": "x"}[x]
    np.savez(tmp_path / "x.npz", **{other: given["input_0"][:5], x: given["input_0"], y: given["label"]})
    data = load_data(build, tmp_path / "x.npz")
    assert len(data.inputs[0]) == len(data.labels) == SAMPLES


def test_a_build_of_several_models_is_refused(tmp_path: Path, samples: Path) -> None:
    (tmp_path / "report.json").write_text(
        json.dumps({"model": "one", "models": [{"model": name, "layers": []} for name in ("one", "two")]})
    )
    found = CliRunner().invoke(main, ["train", str(tmp_path), "--data", str(samples)])
    assert found.exit_code == 2
    assert "it has one, two, of which one learns" in found.stderr and "--model" not in found.stderr


def test_only_models_that_learn_are_trained(build: Build) -> None:
    other = Build(build.folder)
    other.report = {**build.report, "training": None}
    with pytest.raises(UsageError, match="this model doesn't learn"):
        device_of(other, "host")
    other.report = {**build.report, "io_prefix": "net_"}
    with pytest.raises(UsageError, match="the build has several models"):
        device_of(other, "host")


def test_a_board_learns_the_same_over_a_bad_line(build: Build, samples: Path) -> None:
    data = load_data(build, samples, limit=10)
    here = train_build(build, device_of(build, "host"), data, epochs=1, rate=0.1, batch=4, seed=3)
    make(build.folder, "console")
    with (
        emulated(build.folder / "firmware_console.elf", build.board) as port,
        bad_cable(port, 0.05) as (cable, _),
    ):
        with console_of(build, Place(cable)) as console:
            there = train_build(build, OnBoard(build, console), data, epochs=1, rate=0.1, batch=4, seed=3)
        arguments = ["--data", str(samples), "--limit", "3", "--on", "serial", "--port", str(cable)]
        result = CliRunner().invoke(main, ["train", str(build.folder), *arguments])
    assert result.exit_code == 0, result.output
    assert "ticks of its counter per step" in result.output and "after 3 steps" in result.output
    assert there.checkpoint[36:] == here.checkpoint[36:]
    assert there.epochs[0].loss == here.epochs[0].loss and there.epochs[0].instructions > 0
    assert len(there.parameters) == len(here.parameters) > 0
    for name, array in there.parameters.items():
        np.testing.assert_array_equal(array, here.parameters[name])
