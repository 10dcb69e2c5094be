"""Samples to learn from: the inputs as other commands take them, and `label` or `target`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import SamplesError
from tinycompile.ir import Array, TensorType
from tinycompile.samples import check_counts, class_labels, load_arrays, real_inputs, with_labels

LABEL, TARGET = "label", "target"


@dataclass(frozen=True, eq=False)
class Data:
    """Samples.

    Attributes:
        inputs: one array (samples, *shape) per input, as the firmware takes it.
        labels: (samples, 1) int32, or what the output should be, (samples, *shape).
    """

    inputs: list[Array]
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)


def load_data(build: Build, path: Path, limit: int | None = None) -> Data:
    """The samples of a file, checked against a build that learns; at most `limit`.

    Raises:
        SamplesError: an input or the label is missing, has another shape or type, or a label is no class.
    """
    t = build.label
    if t is None:
        raise ValueError("a build that doesn't learn has no labels")
    classes, names = build.report["training"]["classes"], [entry["name"] for entry in build.report["inputs"]]
    arrays = load_arrays(path)
    label = TARGET if TARGET in arrays else None
    if classes is not None:
        arrays, label = with_labels(arrays, names)
    inputs = real_inputs(arrays, build.inputs, where=str(path), names=names, limit=limit)[0]
    if label is None:
        name = LABEL if classes is not None else TARGET
        what = f"a class for each sample, 0 to {classes - 1}" if classes is not None else "what the output should be"
        raise SamplesError(
            f"{name} is missing", where=str(path), why=f"the file holds: {', '.join(arrays)}", hint=f"{name} is {what}"
        )
    if classes is not None:
        labels = class_labels(arrays[label], label, classes, str(path))[:limit, None]
    else:
        labels = real_inputs({label: arrays[label]}, [t], where=str(path), names=[label], limit=limit)[0][0]
    check_counts([*inputs, labels], [*names, label], str(path))
    return Data(inputs, labels)


def error_of(outputs: Array, targets: Array, output: TensorType, target: TensorType) -> float:
    """Mean squared difference of real values."""
    difference = _real(outputs, output).reshape(len(targets), -1) - _real(targets, target).reshape(len(targets), -1)
    return float(np.mean(difference**2))


def _real(values: Array, t: TensorType) -> Array:
    return values.astype(np.float64) if t.quant is None else (values.astype(np.float64) - t.zero_point) * t.scale
