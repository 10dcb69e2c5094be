"""Labelled samples, and what a build is to be measured by on them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from pathlib import Path

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import SamplesError, UsageError
from tinycompile.ir import Array, TensorType
from tinycompile.samples import (
    LABELS,
    class_labels,
    in_steps,
    load_arrays,
    namings,
    real_inputs,
    real_values,
    with_labels,
)

GROUP = "group"
"""Samples with the same number are one, such as the windows of a recording: the mean of their anomaly scores counts."""

TARGET = "target"
"""What the output should be, in real numbers; `y` may be that, too."""

MOST_CLASSES = 1 << 16
"""Of an output that is the number of a class, which says not how many there are."""


class Task(StrEnum):
    """What the output is.

    CLASSES: a score for each class. POSITIONS: the same at each place of an image or a sequence. BINARY: one score, the
    higher the likelier is class 1. ANOMALY: the input again, and the worse the likelier is class 1. RECONSTRUCTION: the
    input again, without labels. REGRESSION: real numbers.
    """

    CLASSES = "classes"
    POSITIONS = "positions"
    BINARY = "binary"
    ANOMALY = "anomaly"
    RECONSTRUCTION = "reconstruction"
    REGRESSION = "regression"


@dataclass(frozen=True, eq=False)
class Labelled:
    """Samples of a file, checked against a build.

    Attributes:
        inputs: one array (samples, *shape) per input, as the firmware takes it.
        reals: the same as real numbers.
        labels: (samples,) numbers of classes, (samples, places) of POSITIONS and of BINARY with several scores,
            (samples, values) real numbers of REGRESSION; None without.
        output: the number of the output that is measured. axis: of its scores, for POSITIONS, in (samples, *shape).
        classes: how many; 0 where there are none, or the output is a class' number.
        steps: of each sequence; 0 where all samples are one.
        groups: (samples,) numbers of ANOMALY's samples that are one; None where each is its own.
        per_sequence: whether a label is for a whole sequence, whose last step counts.
    """

    task: Task
    inputs: list[Array]
    reals: list[Array]
    labels: Array | None
    output: int
    classes: int = 0
    axis: int = -1
    steps: int = 0
    per_sequence: bool = False
    groups: Array | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def counted(self, values: Array) -> Array:
        """Those of (samples, ...) that have a label."""
        return values[self.steps - 1 :: self.steps] if self.per_sequence else values


def load_labelled(
    build: Build,
    path: Path,
    *,
    task: str = "auto",
    output: int | None = None,
    limit: int | None = None,
    sequence: bool = False,
) -> Labelled:
    """The samples and labels of a file, at most `limit`.

    Args:
        task: of `Task`; "auto" for what shapes and types of labels and output say.
        output: which one is measured; None for the first one that isn't a class' number beside scores.
        sequence: the arrays are (sequences, steps, ...).

    Raises:
        SamplesError: inputs or labels are missing, or don't fit the model.
        UsageError: there is no such output, or it can't be what was asked for.
    """
    names, where = [entry["name"] for entry in build.report["inputs"]], str(path)
    arrays = load_arrays(path)
    arrays, key = with_labels(arrays, names)
    if TARGET in arrays and TARGET not in names and key is None:
        key = TARGET
    labels = None if key is None else np.atleast_1d(arrays[key])
    groups = np.atleast_1d(arrays[GROUP]) if GROUP in arrays and GROUP not in names else None
    steps, sequences, per_step = 0, 0, False
    if sequence:
        if not build.report["ram"]["state_bytes"]:
            raise UsageError("--sequence is for models with states", where=build.model, hint="leave it out")
        arrays, steps = in_steps(arrays, build.inputs, names, where=where)
        sequences = len(arrays[namings(arrays, names)[0][0]]) // steps
    samples = limit and limit * (steps or 1)
    inputs, reals = real_inputs(arrays, build.inputs, where=where, names=names, limit=samples)
    if reals is None:
        reals = [real_values(values, t) for values, t in zip(inputs, build.inputs, strict=True)]
    if labels is not None and labels.dtype == bool:
        labels = labels.astype(np.uint8)
    number = _scored(build, output, labels)
    if labels is not None and steps:
        t, again = build.outputs[number], _is_an_input_again(build, number)
        per_step = _are_of_steps(labels, sequences, steps, t, again=again)
        if per_step and labels.shape[:2] == (sequences, steps):
            labels = labels.reshape(-1, *labels.shape[2:])
    labels = None if labels is None else labels[: samples if per_step else limit]
    chosen = _task(build, number, labels, task, where, arrays)
    found = Labelled(chosen, inputs, reals, None, number, steps=steps)
    if labels is None:
        return found
    found = replace(found, per_sequence=bool(steps) and not per_step)
    found = _with_labels(found, labels, key or "", build.outputs[number], where)
    groups = None if groups is None else groups.reshape(-1) if steps else groups
    return _with_groups(found, None if groups is None else groups[:samples], where)


def _are_of_steps(labels: Array, sequences: int, steps: int, t: TensorType, *, again: bool) -> bool:
    """Whether they are of steps, (sequences, steps, ...) or one after the other, and not of sequences.

    (sequences, steps) may be as many labels of a sequence as an output has places or numbers, too: where it has several
    axes of them, or so many real numbers. again: the output is an input again, and a label whether it is an anomaly.
    """
    if labels.shape[:2] != (sequences, steps):
        return len(labels) == sequences * steps != sequences
    if labels.ndim > 2 and prod(labels.shape[2:]) > 1:
        return True
    if labels.dtype.kind in "iu":
        return again or len(_without_ones(t.shape)) < 2
    return t.elements == 1 or t.elements != steps


def _scored(build: Build, output: int | None, labels: Array | None) -> int:
    """Classifiers have a class' number and scores, and these say more."""
    outputs = build.outputs
    if output is not None:
        if not 0 <= output < len(outputs):
            raise UsageError(f"there is no output {output}", where=build.model, hint=f"0 to {len(outputs) - 1}")
        return output
    whole = labels is not None and labels.dtype.kind in "iu"
    several = [i for i, t in enumerate(outputs) if t.elements > 1 or not is_number(t)] if whole else []
    return several[0] if several else 0


def is_number(t: TensorType) -> bool:
    """Whether an output is the number of a class itself."""
    return t.quant is None and not t.dtype.is_float and t.elements == 1


def _is_an_input_again(build: Build, output: int) -> bool:
    elements = build.outputs[output].elements
    return elements > 1 and any(given.elements == elements for given in build.inputs)


def _task(build: Build, output: int, labels: Array | None, wanted: str, where: str, arrays: dict[str, Array]) -> Task:
    t, again = build.outputs[output], _is_an_input_again(build, output)
    if labels is None:
        if again and wanted in ("auto", Task.RECONSTRUCTION):
            return Task.RECONSTRUCTION
        raise SamplesError(
            "there are no labels",
            where=where,
            why=f"the file holds: {', '.join(arrays)}",
            hint=f"an array {', '.join(LABELS)} or {TARGET}: a class for each sample, or what the output should be",
        )
    if wanted != "auto":
        if wanted in (Task.ANOMALY, Task.RECONSTRUCTION) and not again:
            raise UsageError(f"--task {wanted} is for an output as large as an input", where=build.model)
        if wanted == Task.BINARY and labels.size != len(labels) * t.elements:
            raise UsageError(f"--task {wanted} is for one score a label", where=build.model)
        return Task(wanted)
    if labels.dtype.kind not in "iu":
        return Task.REGRESSION
    binary = bool(np.all((labels == 0) | (labels == 1)))
    if labels.size == len(labels):
        if again and binary:
            return Task.ANOMALY
        if t.elements > 1 or is_number(t):
            return Task.CLASSES
        return Task.BINARY if binary else Task.REGRESSION
    if labels.size == len(labels) * t.elements:  # one score a label: of a batch, or at each place
        return Task.BINARY if binary and t.shape[-1:] == (1,) else Task.REGRESSION
    return Task.POSITIONS


def _with_labels(found: Labelled, labels: Array, key: str, t: TensorType, where: str) -> Labelled:
    """Checked and flattened."""
    count, of = (len(found) // found.steps, "sequences") if found.per_sequence else (len(found), "samples")
    if len(labels) != count:
        raise SamplesError(f"{key} has {len(labels)} labels, there are {count} {of}", where=where)
    if found.task == Task.REGRESSION:
        return replace(found, labels=_wanted(labels, key, t, where))
    if found.task == Task.POSITIONS:
        axis = _score_axis(labels, key, t, where)
        classes = t.shape[axis - 1]
        flat = class_labels(labels.reshape(-1), key, classes, where).reshape(len(labels), -1)
        return replace(found, labels=flat, axis=axis, classes=classes)
    classes = 2
    if found.task == Task.BINARY and t.elements > 1:
        flat = class_labels(labels.reshape(-1), key, classes, where).reshape(len(labels), -1)
        return replace(found, labels=flat, classes=classes)
    if found.task == Task.CLASSES:
        classes = MOST_CLASSES if is_number(t) else t.elements
    return replace(found, labels=class_labels(labels, key, classes, where), classes=0 if is_number(t) else classes)


def _with_groups(found: Labelled, groups: Array | None, where: str) -> Labelled:
    """Of anomalies, whose samples of a group have the same label."""
    if groups is None or found.task != Task.ANOMALY or found.labels is None or found.per_sequence:
        return found
    if groups.dtype.kind not in "iu" or groups.shape != (len(found),):
        what = f"{GROUP} is {groups.dtype} of shape {groups.shape}"
        raise SamplesError(what, where=where, hint=f"an integer for each of {len(found)} samples")
    for number in np.unique(groups):
        if len(set(found.labels[groups == number].tolist())) > 1:
            raise SamplesError(f"{GROUP} {number} has samples of both labels", where=where)
    return replace(found, groups=groups)


def _wanted(labels: Array, key: str, t: TensorType, where: str) -> Array:
    """Real numbers: (samples, values)."""
    if labels.dtype.kind not in "fiu" or labels.size != len(labels) * t.elements:
        found = f"{labels.dtype} of shape {labels.shape}"
        hint = f"{(len(labels), *(t.shape[1:] if t.shape[:1] == (1,) else t.shape))} real numbers"
        if labels.size == len(labels):
            hint += f"; for classes {key} is an array of integers"
        raise SamplesError(f"{key} is {found}, the output has {t.elements} values", where=where, hint=hint)
    if not np.all(np.isfinite(labels)):
        raise SamplesError(f"{key} has values that aren't finite", where=where)
    return labels.reshape(len(labels), -1).astype(np.float64)


def _score_axis(labels: Array, key: str, t: TensorType, where: str) -> int:
    """The axis of (samples, *shape) without which an output has the labels' shape."""
    places = _without_ones(labels.shape[1:])
    for axis in (len(t.shape), 2, 1):
        left = (*t.shape[: axis - 1], *t.shape[axis:])
        if axis <= len(t.shape) and t.shape[axis - 1] > 1 and _without_ones(left) == places:
            return axis
    raise SamplesError(
        f"{key} has shape {labels.shape}, the output {t.shape}",
        where=where,
        why=f"{prod(labels.shape[1:])} labels a sample are neither one nor one for each place of the output",
    )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)
