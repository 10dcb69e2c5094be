"""`verify --train`: training steps of the generated C against their definition in NumPy, bit for bit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array
from tinycompile.learning.definition import step_of
from tinycompile.learning.device import Answer, Command, Device, Kind, device_of
from tinycompile.numerics.training_losses import LOSS_BITS
from tinycompile.report.saving import update_report
from tinycompile.training.step import TrainingStep
from tinycompile.training.trainer import Trainer
from tinycompile.verify.reference import Expected
from tinycompile.verify.tensors import compare
from tinycompile.verify.tflite import sums_floats

SEED = 0
APPLIED_AFTER = 3
"""Steps, of a model that accumulates."""


@dataclass(frozen=True)
class StateDifference:
    """Where a state isn't what it should be.

    Attributes:
        step: its number, from 1 on. state: its name, or the loss or an output that was returned.
        index: the first element that differs; `count` of them do.
    """

    device: str
    step: int
    state: str
    index: tuple[int, ...]
    expected: float
    got: float
    count: int

    def describe(self) -> str:
        place = f"{self.state}{list(self.index)} after step {self.step} on {self.device}"
        return f"{place}: expected {self.expected}, got {self.got}; {self.count} differ"


@dataclass(frozen=True)
class TrainingVerification:
    """What was compared.

    Attributes:
        devices: where the generated C ran. values: compared, of all steps, states and devices.
        moved: how many values of trained parameters another one than before the first step.
        instructions: of the last step in QEMU, and `prediction` of one; None without it.
    """

    devices: tuple[str, ...]
    steps: int
    parameters: int
    values: int
    moved: int
    instructions: int | None
    prediction: int | None
    difference: StateDifference | None


def verify_training(
    build: Build, steps: int, inputs: Sequence[Array] | None = None, labels: Array | None = None
) -> TrainingVerification:
    """Train for some steps by the definition, on this machine and, if QEMU has one for the board, there; compare loss,
    parameters and every other state after each step, bit for bit, and a prediction at the end, as `verify` does.
    Records `verify_training` in the report.

    Args:
        inputs: one array (samples, *shape) per input, `labels` (samples, *shape): they begin again where there are
            fewer than steps; None for random ones.

    Raises:
        UsageError: the model doesn't learn. ToolMissingError, ToolFailedError.
    """
    places = ["host"] if build.board.is_host or build.board.emulated() is None else ["host", "qemu"]
    devices, step = [device_of(build, place) for place in places], step_of(build)
    taken = inputs or _random_inputs(step, steps), labels if labels is not None else _random_labels(step, steps)
    numbers = [number % len(taken[1]) for number in range(steps)]
    samples = [([array[i] for array in taken[0]], taken[1][i]) for i in numbers]
    trainer = Trainer(step)
    first, expected = dict(trainer.states), list(_defined(trainer, samples))
    predicted = trainer.predict(*samples[-1][0])
    outputs = {f"output {i}": predicted[name] for i, name in enumerate(step.graph.outputs)}
    values, difference, instructions, prediction = 0, None, None, None
    groups = [_commands(step, number, *sample) for number, sample in enumerate(samples)]
    for device in devices:
        last = Command(Kind.PREDICT, samples[-1][0])
        answers = iter(device.execute([*(command for group in groups for command in group), last]))
        for number, (group, states) in enumerate(zip(groups, expected, strict=True)):
            learned, *_, after = [next(answers) for _ in group]
            instructions = learned.instructions or instructions
            values += 1 + sum(array.size for array in states.values())
            difference = difference or _difference(device, number + 1, states, _states_in(build, after))
            difference = difference or _loss_difference(device, number + 1, step, states, learned)
        answer = next(answers)
        prediction = answer.instructions or prediction
        values += sum(array.size for array in outputs.values())
        got = {f"output {i}": array for i, array in enumerate(answer.outputs)}
        exact = not any(map(sums_floats, build.report["layers"]))
        difference = difference or _difference(device, steps, outputs, got, exact=exact)
    moved = sum(int(np.count_nonzero(first[name] != expected[-1][name])) for name in step.parameters)
    names, counts = tuple(device.name for device in devices), (instructions, prediction)
    found = TrainingVerification(names, steps, len(step.parameters), values, moved, *counts, difference)
    _record(build, found)
    return found


def _commands(step: TrainingStep, number: int, inputs: Sequence[Array], label: Array) -> list[Command]:
    """The first one learns, the last one says what has become of the states."""
    kind = Kind.ACCUMULATE if step.accumulators else Kind.TRAIN
    apply = [Command(Kind.APPLY)] if step.accumulators and _applies(number) else []
    return [Command(kind, inputs, label), *apply, Command(Kind.STATES)]


def _applies(number: int) -> bool:
    """Whether what was accumulated is applied behind a step, from 0 on."""
    return number % APPLIED_AFTER == APPLIED_AFTER - 1


def _random_inputs(step: TrainingStep, steps: int) -> list[Array]:
    rng, types = np.random.default_rng(SEED), [step.graph.types[name] for name in step.graph.inputs]
    found = list[Array]()
    for t in types:
        shape = (steps, *t.shape)
        floats = rng.normal(size=shape)
        found.append(floats if t.dtype.is_float else rng.integers(*t.dtype.range, shape, endpoint=True))
    return [array.astype(t.dtype.carrier) for array, t in zip(found, types, strict=True)]


def _random_labels(step: TrainingStep, steps: int) -> Array:
    rng, t = np.random.default_rng(SEED + 1), step.graph.types[step.label]
    if step.classes is not None:
        return (np.arange(steps, dtype=np.int32) % step.classes)[:, None]
    return rng.integers(*t.dtype.range, (steps, *t.shape), endpoint=True).astype(t.dtype.carrier)


def _defined(trainer: Trainer, samples: Sequence[tuple[Sequence[Array], Array]]) -> Iterator[Mapping[str, Array]]:
    """The states after each step."""
    for number, (inputs, label) in enumerate(samples):
        trainer.accumulate(label, *inputs)
        if _applies(number):
            trainer.apply()
        yield dict(trainer.states)


def _states_in(build: Build, answer: Answer) -> Mapping[str, Array]:
    """By name, at the places that the report says."""
    found = dict[str, Array]()
    for state in build.report["states"]:
        memory = answer.states[state["offset"] : state["offset"] + state["bytes"]]
        found[state["name"]] = np.frombuffer(memory, state["dtype"]).reshape(state["shape"])
    return found


def _difference(
    device: Device, number: int, expected: Mapping[str, Array], got: Mapping[str, Array], *, exact: bool = True
) -> StateDifference | None:
    """The first one; floats may differ as those that `verify` compares unless they are `exact`."""
    if set(expected) != set(got):
        raise ToolFailedError("the build's states aren't those of its model", hint="build it again with this version")
    for name, want in expected.items():
        wrong = np.argwhere(compare(Expected(want, exact), got[name], np.ones(want.shape, bool)).wrong)
        if len(wrong):
            index = tuple(int(i) for i in wrong[0])
            values = want[index].item(), got[name][index].item()
            return StateDifference(device.name, number, name, index, *values, len(wrong))
    return None


def _loss_difference(
    device: Device, number: int, step: TrainingStep, states: Mapping[str, Array], answer: Answer
) -> StateDifference | None:
    """What the function returns."""
    want = int(states[step.loss][0])
    if want == answer.loss:
        return None
    return StateDifference(device.name, number, f"the returned loss / {1 << LOSS_BITS}", (0,), want, answer.loss, 1)


def _record(build: Build, found: TrainingVerification) -> None:
    build.report["verify_training"] = {
        "steps": found.steps,
        "devices": list(found.devices),
        "parameters": found.parameters,
        "values_compared": found.values,
        "values_moved": found.moved,
        "instructions_per_step": found.instructions,
        "instructions_per_prediction": found.prediction,
        "first_difference": None if found.difference is None else found.difference.describe(),
    }
    update_report(build.folder, build.report)
