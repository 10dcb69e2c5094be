"""`tinycompile train`: a build learns from a file of samples, on this machine or in QEMU."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import UsageError
from tinycompile.ir import Array
from tinycompile.learning.data import Data, error_of
from tinycompile.learning.device import Command, Device, Kind
from tinycompile.numerics.block_floating import factor, rounded_weights
from tinycompile.numerics.training_losses import LOSS_BITS


@dataclass(frozen=True)
class Evaluation:
    """How good predictions are.

    Attributes:
        right: of how many samples the class is the label; None where the label isn't a class.
        error: mean squared error of the output in real numbers; None where the label is a class.
    """

    samples: int
    right: int | None
    error: float | None

    @property
    def accuracy(self) -> float | None:
        return None if self.right is None else self.right / self.samples

    def describe(self) -> str:
        if self.right is not None:
            return f"{100 * self.right / self.samples:.1f} % of {self.samples:,} right"
        return f"mean squared error {self.error:.4g} of {self.samples:,}"


@dataclass(frozen=True)
class Epoch:
    """Attributes:
    loss: mean of the losses before each step.
    changed: int8 weights that are others than before the epoch, of `weights` that are trained.
    instructions: mean of a step's, or of a board's ticks; 0 where they aren't counted.
    """

    loss: float
    changed: int
    weights: int
    instructions: int
    evaluation: Evaluation | None


@dataclass(frozen=True, eq=False)
class Training:
    """What became of a model.

    Attributes:
        before: the evaluation before the first step.
        parameters: the trained states at the end, by name.
        checkpoint: a slot with them, as `<model>_load` reads it.
    """

    device: str
    before: Evaluation | None
    epochs: list[Epoch]
    parameters: dict[str, Array]
    checkpoint: bytes


def train_build(
    build: Build,
    device: Device,
    data: Data,
    *,
    epochs: int,
    rate: float | None = None,
    evaluation: Data | None = None,
    batch: int = 1,
    seed: int = 0,
    done: Callable[[int, Epoch], None] = lambda number, epoch: None,
) -> Training:
    """Learn from every sample of `data` once per epoch, in an order that `seed` says.

    Args:
        rate: the learning rate; None for the one that the model was built with.
        batch: samples whose mean gradient is a step, of a build that accumulates.
        evaluation: samples on which predictions are compared with labels, before and after each epoch.
        done: called with the number of each epoch, from 1 on.

    Raises:
        UsageError: a batch of several samples, and a build that doesn't accumulate. ToolMissingError, ToolFailedError.
    """
    if batch > 1 and not build.report["options"].get("accumulate"):
        raise UsageError(
            f"a batch of {batch} samples needs a model that adds up gradients",
            where=str(build.folder),
            hint="build it with --accumulate",
        )
    device.execute([Command(Kind.LOAD)])  # finds nothing, as in a device without a checkpoint
    of_sample = (build.report["options"]["learning_rate"] if rate is None else rate) / batch
    device.execute([Command(Kind.LEARNING_RATE, rate=factor(of_sample))])
    before = None if evaluation is None else evaluate(build, device, evaluation)
    weights, rng, found = _weights(parameters_of(build, device)), np.random.default_rng(seed), list[Epoch]()
    for number in range(1, epochs + 1):
        order = rng.permutation(len(data))
        commands = list(_steps(data, order, batch))
        found_each = zip(commands, device.execute(commands), strict=True)
        answers = [answer for command, answer in found_each if command.kind != Kind.APPLY]
        after = _weights(parameters_of(build, device))
        epoch = Epoch(
            loss=float(np.mean([answer.loss for answer in answers])) / (1 << LOSS_BITS),
            changed=int(np.count_nonzero(weights != after)),
            weights=after.size,
            instructions=round(float(np.mean([answer.instructions for answer in answers]))),
            evaluation=None if evaluation is None else evaluate(build, device, evaluation),
        )
        weights = after
        found.append(epoch)
        done(number, epoch)
    parameters = parameters_of(build, device)
    device.execute([Command(Kind.SAVE)])
    return Training(device.name, before, found, parameters, newest(device.slots))


def _steps(data: Data, order: Array, batch: int) -> Iterator[Command]:
    for first in range(0, len(order), batch):
        kind = Kind.TRAIN if batch == 1 else Kind.ACCUMULATE
        yield from (
            Command(kind, [array[i] for array in data.inputs], data.labels[i]) for i in order[first : first + batch]
        )
        if batch > 1:
            yield Command(Kind.APPLY)


def evaluate(build: Build, device: Device, data: Data) -> Evaluation:
    """Predictions of every sample against its label."""
    commands = [Command(Kind.PREDICT, [array[i] for array in data.inputs]) for i in range(len(data))]
    outputs = np.stack([answer.outputs[0] for answer in device.execute(commands)])
    if build.report["training"]["classes"] is not None:
        found = outputs.reshape(len(data), -1).argmax(axis=1)
        return Evaluation(len(data), int(np.count_nonzero(found == data.labels[:, 0])), None)
    if build.label is None:
        raise ValueError("a build that doesn't learn has no labels")
    return Evaluation(len(data), None, error_of(outputs, data.labels, build.outputs[0], build.label))


def parameters_of(build: Build, device: Device) -> dict[str, Array]:
    """The trained states as they are, by name."""
    (answer,) = device.execute([Command(Kind.STATES)])
    return {
        each["name"]: np.frombuffer(
            answer.states[each["offset"] : each["offset"] + each["bytes"]], each["dtype"]
        ).reshape(each["shape"])
        for each in build.report["training"]["parameters"]
    }


def _weights(parameters: dict[str, Array]) -> Array:
    """All int8 weights of a forward pass that are trained."""
    masters = [array for array in parameters.values() if array.dtype == np.int16]
    return np.concatenate([np.zeros(0, np.int8), *(rounded_weights(array).ravel() for array in masters)])


def newest(slots: Sequence[bytes | bytearray]) -> bytes:
    """The slot with the higher number, of those that hold a checkpoint."""
    used = [bytes(slot) for slot in slots if any(slot)]
    return max(used, key=lambda slot: int.from_bytes(slot[NUMBER_OFFSET : NUMBER_OFFSET + 4], "little"))


NUMBER_OFFSET = 28
"""Of a checkpoint's number in its slot (`tc_checkpoint_header`)."""
