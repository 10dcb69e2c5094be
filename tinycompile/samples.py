"""Sample files: `.npz` with `input_0`, `input_1`, ... (or one `x`) and `output_0`, ...; or one `.npy`.

The first axis counts samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.ir import Array, TensorType


def load_arrays(path: Path) -> dict[str, Array]:
    """All arrays of a samples file; a single `.npy` becomes `input_0`.

    Raises:
        SamplesError: the file is missing or not a NumPy file.
    """
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"input_0": content}
        with content:
            return {name: content[name] for name in content.files}
    except FileNotFoundError as error:
        raise SamplesError("no such file", where=str(path)) from error
    except Exception as error:  # zipfile, zlib, pickle, header parser: all mean "not a NumPy file"
        raise SamplesError(
            "not a readable NumPy file",
            where=str(path),
            why=str(error)[:200],
            hint="write it with numpy.savez(path, input_0=array) where array.shape[0] is the number of samples",
        ) from error


def model_inputs(
    arrays: dict[str, Array], types: Sequence[TensorType], *, where: str, limit: int | None = None
) -> list[Array]:
    """The inputs of every sample, checked against the model: one array (samples, *shape) per input.

    Raises:
        SamplesError: an input is missing, or its shape or type is another one.
    """
    selected = list[Array]()
    for index, t in enumerate(types):
        name = f"input_{index}"
        if name not in arrays and len(types) == 1 and "x" in arrays:
            name = "x"
        if name not in arrays:
            found = ", ".join(arrays) or "nothing"
            raise SamplesError(f"{name} is missing", where=where, why=f"the file holds: {found}")
        selected.append(_checked(arrays[name], name, t, where)[:limit])
    counts = {len(array) for array in selected}
    if len(counts) != 1 or 0 in counts:
        raise SamplesError("the inputs need the same number of samples, at least one", where=where)
    return selected


def _checked(array: Array, name: str, t: TensorType, where: str) -> Array:
    if array.dtype != np.dtype(t.dtype):
        raise SamplesError(f"{name} is {array.dtype}, the model takes {t.dtype}", where=where)
    without_batch = t.shape[1:] if t.shape[:1] == (1,) else t.shape
    for shape in (t.shape, without_batch):
        if array.ndim > 0 and array.shape[1:] == shape:
            return np.ascontiguousarray(array).reshape(-1, *t.shape)
        if array.shape == shape:
            return np.ascontiguousarray(array).reshape(1, *t.shape)
    expected = "x".join(map(str, ("samples", *without_batch)))
    raise SamplesError(f"{name} has shape {'x'.join(map(str, array.shape))}, the model takes {expected}", where=where)


def drop_batch(array: Array) -> Array:
    """(samples, 1, ...) to (samples, ...): the model's own batch axis is 1."""
    return array.reshape(array.shape[0], *array.shape[2:]) if array.ndim > 2 and array.shape[1] == 1 else array
