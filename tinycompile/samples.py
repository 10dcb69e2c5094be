"""Sample files: `.npz` with an array for each input, or one `.npy`.

An array is called as the model's input is, or `input_0`, `input_1`, ... in their order; a single input's may be `x`.
The first axis counts samples. Labels are called `label`, `y` or `labels`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from math import prod
from pathlib import Path

import numpy as np

from tinycompile.dtypes import FLOAT32
from tinycompile.errors import SamplesError
from tinycompile.ir import Array, TensorType

LABELS = ("label", "y", "labels")
"""What labels can be called in a file; the first of them counts."""


def load_arrays(path: Path) -> dict[str, Array]:
    """All arrays of a samples file; a single `.npy` becomes `input_0`.

    Raises:
        SamplesError: the file is missing or not a NumPy file.
    """
    name = path.name
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return {"input_0": content}
        with content:
            arrays = dict[str, Array]()
            for name in content.files:
                arrays[name] = content[name]
            return arrays
    except FileNotFoundError as error:
        beside = sorted(each.name for kind in ("*.npz", "*.npy") for each in path.parent.glob(kind))[:8]
        hint = f"in that folder are: {', '.join(beside)}" if beside else "an .npz or .npy file"
        raise SamplesError("there is no such file", where=str(path), hint=hint) from error
    except Exception as error:  # zipfile, zlib, pickle, header parser: all mean "not a NumPy file"
        if "Object arrays" in str(error):
            raise SamplesError(
                f"{name} holds Python objects, not numbers",
                where=str(path),
                why="its rows have different lengths, or are no numbers",
                hint="make it an array of numbers before numpy.savez, or leave it out if it is no input",
            ) from error
        raise SamplesError(
            "not a readable NumPy file",
            where=str(path),
            why="neither .npz nor .npy" if "pickle" in str(error) else str(error)[:200],
            hint="write it with numpy.savez(path, input_0=array) where array.shape[0] is the number of samples",
        ) from error


def namings(arrays: Container[str], names: Sequence[str]) -> list[tuple[str, ...]]:
    """What the arrays of a model's inputs, which are called `names`, can be called in a file; the best first.

    The whole file follows one of them: models with inputs called `input_1` and `input_2` mean other arrays by that.
    """
    ways = [tuple(f"input_{index}" for index in range(len(names)))]
    if len(set(names)) == len(names):  # in a .tflite file they needn't differ
        ways.insert(0, tuple(names))
    if len(names) == 1:
        ways.append(("x",))
    return [way for way in dict.fromkeys(ways) if all(name in arrays for name in way)]


def with_labels(arrays: Mapping[str, Array], names: Sequence[str]) -> tuple[dict[str, Array], str | None]:
    """(arrays, without those that the labels don't belong to; what the labels are called, None where there are none).

    Where several arrays could be the inputs, which are called `names`, labels are of those with as many samples: a file
    may have `input_0` to calibrate with, and `x` and `y` to measure with.
    """
    labels = next((name for name in LABELS if name in arrays and name not in names), None)
    ways = namings(arrays, names)
    if labels is None or not ways:
        return dict(arrays), labels
    count = arrays[labels].shape[:1]
    chosen = next((way for way in ways if all(arrays[name].shape[:1] == count for name in way)), ways[0])
    others = {name for way in ways for name in way}.difference(chosen)
    return {name: array for name, array in arrays.items() if name not in others}, labels


def missing_inputs(arrays: Iterable[str], names: Sequence[str], where: str) -> SamplesError:
    """For a file that follows none of the namings."""
    held = list(arrays)
    by_name = any(name in held for name in names)
    numbered = [f"input_{index}" for index in range(len(names))]
    missing = [name for name in (names if by_name else numbered) if name not in held]
    return SamplesError(
        f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
        where=where,
        why=f"the file holds: {', '.join(held) or 'nothing'}",
        hint=f"name the arrays {', '.join(numbered)}, or as the model names its inputs: {', '.join(names)}",
    )


def model_inputs(
    arrays: Mapping[str, Array],
    types: Sequence[TensorType],
    *,
    where: str,
    names: Sequence[str] | None = None,
    limit: int | None = None,
) -> list[Array]:
    """The inputs of every sample, checked against the model: one array (samples, *shape) per input.

    Args:
        names: of the inputs in the model's file; None where only `input_0`, ... counts.

    Raises:
        SamplesError: an input is missing, or its shape or type is another one.
    """
    known = [f"input_{index}" for index in range(len(types))] if names is None else names
    ways = namings(arrays, known)
    if not ways:
        raise missing_inputs(arrays, known, where)
    selected = [_checked(arrays[name], name, t, where)[:limit] for name, t in zip(ways[0], types, strict=True)]
    check_counts(selected, ways[0], where)
    return selected


def class_labels(array: Array, name: str, classes: int, where: str) -> Array:
    """Numbers of classes of an array of a samples file, which is called `name`: int32 (samples,).

    Raises:
        SamplesError: they aren't integers, one for each sample, or one is no class.
    """
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or array.size != len(array):
        shape = f"{array.dtype} of shape {array.shape}"
        raise SamplesError(f"{name} is {shape}", where=where, hint="integers of shape (samples,)")
    flat = array.reshape(-1)
    wrong = np.flatnonzero((flat < 0) | (flat >= classes))
    if wrong.size:
        first = int(wrong[0])
        raise SamplesError(
            f"{name}[{first}] is {flat[first]}, classes are 0 to {classes - 1}",
            where=where,
            why=f"{wrong.size} of {flat.size} labels are no class",
        )
    return flat.astype(np.int32)


def check_counts(arrays: Sequence[Array], names: Sequence[str], where: str) -> None:
    """Raises SamplesError unless all arrays have the same number of samples, at least one."""
    counts = [len(array) for array in arrays]
    if len(set(counts)) != 1 or 0 in counts:
        found = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
        raise SamplesError("the inputs need the same number of samples, at least one", where=where, why=found)


def in_steps(
    arrays: Mapping[str, Array], types: Sequence[TensorType], names: Sequence[str], *, where: str
) -> tuple[dict[str, Array], int]:
    """(the arrays as one step after the other, steps of each sequence): of arrays (sequences, steps, ...), or (steps,
    ...) of a single sequence.

    Raises:
        SamplesError: an input is missing, has no axis of steps, or inputs have different numbers of them.
    """
    ways = namings(arrays, names)
    if not ways:
        raise missing_inputs(arrays, names, where)
    found, lengths = dict(arrays), set[tuple[int, ...]]()
    for name, t in zip(ways[0], types, strict=True):
        # An element's own shape comes first: (steps, 1, ...) of elements (1, ...) is no set of sequences of one step.
        array, shapes = arrays[name], (t.shape, t.shape[1:] if t.shape[:1] == (1,) else t.shape)
        fitting = (n for shape in shapes for n in (2, 1) if array.ndim >= n and array.shape[n:] == shape)
        axes = next(fitting, 0)
        if axes == 0:
            own = _shape_text("sequences", "steps", *shapes[1])
            raise SamplesError(f"{name} has shape {_shape_text(*array.shape)}, sequences are {own}", where=where)
        lengths.add((1, *array.shape[:axes])[-2:])
        found[name] = array.reshape(-1, *array.shape[axes:])
    if len(lengths) != 1 or 0 in (length := lengths.pop()):
        raise SamplesError("the inputs need the same number of sequences and steps, at least one", where=where)
    return found, length[1]


def real_inputs(
    arrays: Mapping[str, Array],
    types: Sequence[TensorType],
    *,
    where: str,
    names: Sequence[str],
    limit: int | None = None,
) -> tuple[list[Array], list[Array] | None]:
    """As `model_inputs`, but what the model takes as integers with a scale may be real numbers.

    Returns:
        (inputs as the model takes them, the same as real numbers); None for the second where no array is of floats.
    """
    ways = namings(arrays, names)
    if not ways:
        raise missing_inputs(arrays, names, where)
    floats = {name for name in ways[0] if arrays[name].dtype.kind == "f"}
    converted = dict(arrays)
    for name, t in zip(ways[0], types, strict=True):
        if name in floats and t.quant is not None and not t.dtype.is_float:
            converted[name] = _quantized(arrays[name], t)
    inputs = model_inputs(converted, types, where=where, names=names, limit=limit)
    if not floats:
        return inputs, None
    reals = [
        with_batch(arrays[name], name, t.shape, where)[:limit] if name in floats else real_values(given, t)
        for name, t, given in zip(ways[0], types, inputs, strict=True)
    ]
    return inputs, [real.astype(np.float32) for real in reals]


def _quantized(values: Array, t: TensorType) -> Array:
    """The nearest integers, halves away from zero as TFLite's QUANTIZE; saturated."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values.astype(np.float64) / t.scale
        rounded = np.copysign(np.floor(np.abs(scaled) + 0.5), scaled) + t.zero_point
    return np.nan_to_num(np.clip(rounded, *t.dtype.range)).astype(t.dtype.carrier)


def real_values(values: Array, t: TensorType) -> Array:
    """What integers with a scale stand for, in float64; values of other tensors as they are."""
    return values if t.quant is None else (values.astype(np.float64) - t.zero_point) * t.scale


def _checked(array: Array, name: str, t: TensorType, where: str) -> Array:
    """The shape first: an array of another shape is mostly another model's, and needs no other type."""
    batch = with_batch(array, name, t.shape, where)
    if array.dtype != t.dtype.carrier:
        hint = _conversion(array, t)
        raise SamplesError(f"{name} is {array.dtype}, the model takes {t.dtype}", where=where, hint=hint)
    wrong = t.dtype.mismatch(array)
    if wrong is not None:
        raise SamplesError(f"{name} has {wrong}", where=where)
    return batch


def with_batch(array: Array, name: str, shape: tuple[int, ...], where: str) -> Array:
    """(samples, *shape) of samples with or without the model's own batch axis, or of a single one.

    Raises:
        SamplesError: the shape is another one; it says what is in another order.
    """
    without_batch = shape[1:] if shape[:1] == (1,) else shape
    for accepted in (shape, without_batch):
        if array.ndim > 0 and array.shape[1:] == accepted:
            return np.ascontiguousarray(array).reshape(-1, *shape)
        if array.shape == accepted:
            return np.ascontiguousarray(array).reshape(1, *shape)
    expected = _shape_text("samples", *without_batch)
    message = f"{name} has shape {_shape_text(*array.shape)}, the model takes {expected}"
    raise SamplesError(message, where=where, hint=_rearrangement(array.shape, without_batch))


def _shape_text(*sizes: int | str) -> str:
    return f"({', '.join(map(str, sizes))}{',' if len(sizes) == 1 else ''})"


def _conversion(array: Array, t: TensorType) -> str:
    """How numbers become the model's."""
    carrier = f"numpy.{t.dtype.carrier.name}"
    if t.quant is None or array.dtype.kind not in "fiub":
        return f"`array.astype({carrier})`"
    low, high = t.dtype.range
    scaled = f"numpy.round(array / {t.scale:.9g}) + {t.zero_point}"
    real = f"`numpy.clip({scaled}, {low}, {high}).astype({carrier})`"
    if array.dtype.kind == "f":
        return real
    return f"`array.astype({carrier})` if these are the model's numbers, {real} if they are real values"


def _rearrangement(actual: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    """How samples of another shape become the model's, if that is clear: their axes or their grouping differ."""
    axes = len(wanted)
    if prod(actual) == prod(wanted) and _without_ones(actual) in ((prod(wanted),), _without_ones(wanted)):
        return f"`array.reshape{_shape_text(1, *wanted)}`, if it is a single sample"
    sample = actual[1:]
    if axes > 1 and len(sample) == axes:
        if (sample[-1], *sample[:-1]) == wanted:
            return "its channels are last, the model has them first: `numpy.moveaxis(array, -1, 1)`"
        if (*sample[1:], sample[0]) == wanted:
            return "its channels are first, the model has them last: `numpy.moveaxis(array, 1, -1)`"
    real = _without_ones(sample)
    same_order = real == _without_ones(wanted)
    if same_order or (len(real) == 1 and real[0] == prod(wanted)):
        return f"`array.reshape{_shape_text(-1, *wanted)}`, if its values are in that order"
    return ""


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def drop_batch(array: Array) -> Array:
    """(samples, 1, ...) to (samples, ...): the model's own batch axis is 1."""
    return array.reshape(array.shape[0], *array.shape[2:]) if array.ndim > 2 and array.shape[1] == 1 else array


def pattern(t: TensorType) -> Array:
    """A sample (1, *shape) for where none is given: bytes (i * 37 + 11) & 0xff; floats are that many 128ths, less 1."""
    if t.dtype == FLOAT32:
        steps = (np.arange(t.bytes // 4) * 37 + 11) & 0xFF
        return ((steps - 128) / 128).astype(np.float32).reshape(1, *t.shape)
    data = ((np.arange(t.bytes) * 37 + 11) & 0xFF).astype(np.uint8)
    return t.dtype.unpack(data, t.elements).reshape(1, *t.shape)


def noise(t: TensorType, count: int = 1) -> Array:
    """Samples (count, *shape) of any bytes, always the same ones, for which layers execute about what they do for real
    samples where that follows from values.
    """
    data = np.random.default_rng(0).integers(0, 256, (count, t.bytes), np.uint8)
    if t.dtype == FLOAT32:
        return ((data[:, : t.elements].astype(np.float32) - 128) / 128).reshape(count, *t.shape)
    return np.stack([t.dtype.unpack(each, t.elements).reshape(t.shape) for each in data])
