"""Calibration and evaluation samples from `.npz` files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.errors import SamplesError
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue
from tinycompile.ir import Array
from tinycompile.quantize.carried import with_states
from tinycompile.samples import check_counts, load_arrays, missing_inputs, namings, with_batch, with_labels

Sample = Mapping[str, Array]


class SamplesNote(UserWarning):
    """Something in a samples file that is no mistake, and that its user may want to know."""


def load_samples(
    path: Path, model: OnnxModel, *, labelled: bool = False, states: Mapping[str, str] | None = None
) -> tuple[list[Sample], Array | None]:
    """(samples by input name with a batch of 1, labels if they are wanted and the file has them).

    The arrays are named as the model's inputs, or `input_0`, `input_1`, ...; a single input's may be called `x`. The
    first axis counts samples. Other arrays are left out, with a `SamplesNote`.

    Args:
        states: inputs that the file hasn't: samples are steps of one sequence, from which they follow.
        labelled: labels are wanted (`samples.with_labels`).

    Raises:
        SamplesError: an input is missing, or its shape or type is another one; labels are of another number.
    """
    arrays = load_arrays(path)
    given = [value for value in model.inputs if value.name not in (states or {})]
    inputs = [value.name for value in given]
    candidates, label = with_labels(arrays, inputs) if labelled else (arrays, None)
    ways = namings(candidates, inputs)
    if not ways:
        raise missing_inputs(arrays, inputs, str(path))
    chosen, labels = dict(zip(inputs, ways[0], strict=True)), None if label is None else arrays[label]
    columns = {value.name: _column(arrays[chosen[value.name]], value, str(path)) for value in given}
    check_counts(list(columns.values()), [chosen[name] for name in columns], str(path))
    count = len(next(iter(columns.values())))
    if labels is not None and len(labels) != count:
        raise SamplesError(f"{len(labels)} labels for {count} samples", where=str(path))
    others = [name for name in arrays if name not in chosen.values() and name != label]
    if others:
        taken = f"{', '.join(chosen.values())} of it {'is' if len(chosen) == 1 else 'are'} taken"
        text = f"{path}: {taken}; {', '.join(others)} {'is no input' if len(others) == 1 else 'are no inputs'}"
        warnings.warn(text, SamplesNote, stacklevel=2)
    samples: list[Sample] = [{name: column[i] for name, column in columns.items()} for i in range(count)]
    return (with_states(samples, model, states) if states else samples), labels


def _column(array: Array, value: SourceValue, where: str) -> Array:
    if array.dtype.kind not in "fiub":
        raise SamplesError(f"input {value.name!r} is {array.dtype}", where=where)
    if value.dtype == FLOAT32:
        array = array.astype(np.float32)
    elif array.dtype.name != value.type_name:
        raise SamplesError(f"input {value.name!r} is {array.dtype}, the model takes {value.type_name}", where=where)
    if not np.all(np.isfinite(array)):
        raise SamplesError(f"input {value.name!r} has values that aren't finite", where=where)
    return with_batch(array, f"input {value.name!r}", value.shape, where)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly spread over all."""
    if len(samples) <= count:
        return list(samples)
    return [samples[int(i)] for i in np.linspace(0, len(samples) - 1, count)]
