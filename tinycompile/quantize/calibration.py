"""Calibration and evaluation samples from `.npz` files."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.frontend.onnx_file import OnnxModel, SourceValue
from tinycompile.ir import Array
from tinycompile.samples import load_arrays

Sample = Mapping[str, Array]
_LABELS = ("y", "labels")


class SamplesNote(UserWarning):
    """Something in a samples file that is no mistake, and that its user may want to know."""


def load_samples(path: Path, model: OnnxModel, *, labelled: bool = False) -> tuple[list[Sample], Array | None]:
    """(samples by input name with a batch of 1, labels if they are wanted and the file has them).

    The arrays are named as the model's inputs, or `input_0`, `input_1`, ...; a single input's may be called `x`. The
    first axis counts samples. Other arrays are left out, with a `SamplesNote`.

    Args:
        labelled: `y` or `labels` has a label of each sample; of a single input's arrays the one of that length counts.

    Raises:
        SamplesError: an input is missing, or its shape or type is another one; labels are of another number.
    """
    arrays = load_arrays(path)
    names = [name for name in _LABELS if name in arrays]
    labels = arrays[names[0]] if labelled and names else None
    single = len(model.inputs) == 1
    chosen = {v.name: _name_of(arrays, v, i, single, labels, str(path)) for i, v in enumerate(model.inputs)}
    columns = {value.name: _column(arrays[chosen[value.name]], value, str(path)) for value in model.inputs}
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1 or 0 in counts:
        raise SamplesError("the inputs need the same number of samples, at least one", where=str(path))
    (count,) = counts
    if labels is not None and len(labels) != count:
        raise SamplesError(f"{len(labels)} labels for {count} samples", where=str(path))
    others = [n for n in arrays if n not in chosen.values() and not (labels is not None and n == names[0])]
    if others:
        text = f"{path}: {', '.join(chosen.values())} of it is taken; {', '.join(others)} isn't an input"
        warnings.warn(text, SamplesNote, stacklevel=2)
    return [{name: column[i] for name, column in columns.items()} for i in range(count)], labels


def _name_of(
    arrays: Mapping[str, Array], value: SourceValue, index: int, single: bool, labels: Array | None, where: str
) -> str:
    """Of the array for an input. Labels say which one, if several could be meant."""
    names = [n for n in (value.name, f"input_{index}", *(["x"] if single else [])) if n in arrays]
    if not names:
        found = ", ".join(arrays) or "nothing"
        raise SamplesError(f"input {value.name!r} is missing", where=where, why=f"the file holds: {found}")
    if labels is not None and labels.ndim:
        names.sort(key=lambda name: arrays[name].ndim == 0 or len(arrays[name]) != len(labels))
    return names[0]


def _column(array: Array, value: SourceValue, where: str) -> Array:
    if array.dtype.kind not in "fiub":
        raise SamplesError(f"input {value.name!r} is {array.dtype}", where=where)
    if value.dtype == "float32":
        array = array.astype(np.float32)
    elif array.dtype.name != value.dtype:
        raise SamplesError(f"input {value.name!r} is {array.dtype}, the model takes {value.dtype}", where=where)
    if not np.all(np.isfinite(array)):
        raise SamplesError(f"input {value.name!r} has values that aren't finite", where=where)
    without_batch = value.shape[1:] if value.shape[:1] == (1,) else value.shape
    for shape in (value.shape, without_batch):
        if array.ndim > 0 and array.shape[1:] == shape:
            return array.reshape(-1, *value.shape)
    expected = "x".join(map(str, ("samples", *without_batch)))
    actual = "x".join(map(str, array.shape))
    raise SamplesError(f"input {value.name!r} has shape {actual}, the model takes {expected}", where=where)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` samples, evenly spread over all."""
    if len(samples) <= count:
        return list(samples)
    return [samples[int(i)] for i in np.linspace(0, len(samples) - 1, count)]
