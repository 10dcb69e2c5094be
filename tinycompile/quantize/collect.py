"""Calibration files from images, arrays and tables."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.npyio import NpzFile

from tinycompile.errors import SamplesError, ToolMissingError, UsageError, system_reason
from tinycompile.frontend.onnx_file import static_model
from tinycompile.ir import Array
from tinycompile.numerics.pixel_ranges import RANGES
from tinycompile.quantize.float_model import float_model

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
SCALES = tuple(RANGES)


def collect_samples(
    source: Path, shape: tuple[int, ...], *, scale: str = "0-1", layout: str = "auto", limit: int | None = None
) -> Array:
    """float32 (samples, *shape) from a folder of images or `.npy` files, one `.npy` or `.npz` file, or a CSV.

    Args:
        shape: of one sample, without the batch.
        scale: of images: what black and white become; "imagenet" takes mean and deviation of each colour off.
        layout: of images: "nhwc", "nchw", or "auto" for what the shape looks like.

    Raises:
        SamplesError: nothing usable, or another shape.
        UsageError, ToolMissingError.
    """
    if scale not in SCALES:
        raise UsageError(f"--scale {scale!r} is unknown", hint=f"one of: {', '.join(SCALES)}")
    if not source.exists():
        raise SamplesError("no such file or folder", where=str(source))
    if source.suffix.lower() == ".csv":
        return _rows(source, shape, limit)
    if source.is_file() and source.suffix.lower() in (".npy", ".npz"):
        return _stacked([_array(source, shape)], source)[:limit]
    files = sorted(p for p in (source.rglob("*") if source.is_dir() else [source]) if p.is_file())
    images = [p for p in files if p.suffix.lower() in IMAGES]
    arrays = [p for p in files if p.suffix.lower() == ".npy"]
    if images:
        return _stacked([_image(p, shape, scale, layout)[None] for p in images[:limit]], source)
    if arrays:
        return _stacked([_array(p, shape) for p in arrays[:limit]], source)[:limit]
    raise SamplesError("no images, .npy files or CSV found", where=str(source), why=f"images are {', '.join(IMAGES)}")


def write_samples(
    source: Path,
    model: Path,
    output: Path,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    scale: str = "0-1",
    layout: str = "auto",
    limit: int | None = None,
) -> int:
    """Write a calibration file for a model with one input; returns the number of samples.

    Raises:
        UsageError: the model has several inputs, or the file can't be written.
    """
    static = static_model(float_model(model, shapes), str(model), shapes)
    if len(static.inputs) != 1:
        raise UsageError(
            f"the model has {len(static.inputs)} inputs",
            where=str(model),
            hint="write the file with numpy.savez(path, **{input name: array, ...})",
        )
    (value,) = static.inputs
    shape = value.shape[1:] if value.shape[:1] == (1,) else value.shape
    samples = collect_samples(source, shape, scale=scale, layout=layout, limit=limit)
    try:
        np.savez(output, **{value.name: samples})  # pyright: ignore[reportArgumentType] - an input may have any name
    except OSError as error:
        raise UsageError("the file can't be written", where=str(output), why=system_reason(error)) from error
    return len(samples)


def _stacked(parts: Sequence[Array], where: Path) -> Array:
    result = np.concatenate(parts).astype(np.float32)
    if not len(result):
        raise SamplesError("no samples", where=str(where))
    return result


def _image(path: Path, shape: tuple[int, ...], scale: str, layout: str) -> Array:
    """One image, cut to the model's proportions around its centre and resized."""
    try:
        from PIL import Image, UnidentifiedImageError  # pyright: ignore[reportMissingImports] - optional
    except ImportError as error:
        raise ToolMissingError("pillow is not installed", why="it reads images", hint="pip install pillow") from error
    if len(shape) != 3:
        raise SamplesError(f"an image for an input of {len(shape)} dimensions", where=str(path))
    first = layout == "nchw" or (layout == "auto" and shape[0] in (1, 3) and shape[2] not in (1, 3))
    height, width, channels = shape[1:] + shape[:1] if first else shape
    if channels not in (1, 3):
        raise SamplesError(f"an image for an input of {channels} channels", where=str(path))
    try:
        with Image.open(path) as opened:
            image = opened.convert("L" if channels == 1 else "RGB")
    except (UnidentifiedImageError, OSError) as error:
        raise SamplesError("not a readable image", where=str(path), why=str(error)[:200]) from error
    ratio = min(image.width / width, image.height / height)
    cut = (round(width * ratio), round(height * ratio))
    left, top = (image.width - cut[0]) // 2, (image.height - cut[1]) // 2
    image = image.crop((left, top, left + cut[0], top + cut[1])).resize((width, height), Image.Resampling.BILINEAR)
    pixels = RANGES[scale](np.asarray(image, np.float64).reshape(height, width, channels))
    return pixels.transpose(2, 0, 1) if first else pixels


def _array(path: Path, shape: tuple[int, ...]) -> Array:
    """(samples, *shape) from a file that holds one sample or many."""
    try:
        content: Any = np.load(path, allow_pickle=False)
        array = cast(Array, content[content.files[0]] if isinstance(content, NpzFile) else content)
    except Exception as error:  # zipfile, pickle, header parser: all mean "not a NumPy file"
        raise SamplesError("not a readable NumPy file", where=str(path), why=str(error)[:200]) from error
    without_ones = (1, *shape)
    for wanted in (shape, without_ones):
        if array.shape == wanted:
            return array.reshape(1, *shape)
        if array.shape[1:] == wanted:
            return array.reshape(-1, *shape)
    actual, expected = "x".join(map(str, array.shape)), "x".join(map(str, shape))
    raise SamplesError(f"the array is {actual}, the model takes {expected}", where=str(path))


def _rows(path: Path, shape: tuple[int, ...], limit: int | None) -> Array:
    """One sample per line; a first line that is no numbers is a heading."""
    size, rows = int(np.prod(shape)), list[list[float]]()
    try:
        with path.open(newline="") as file:
            for number, row in enumerate(csv.reader(file)):
                try:
                    values = [float(cell) for cell in row if cell.strip()]
                except ValueError as error:
                    if number == 0:
                        continue
                    raise SamplesError(f"line {number + 1} holds no numbers", where=str(path)) from error
                if not values:
                    continue
                if len(values) != size:
                    text = f"line {number + 1} has {len(values)} numbers, the model takes {size}"
                    raise SamplesError(text, where=str(path))
                rows.append(values)
    except (OSError, UnicodeDecodeError) as error:
        raise SamplesError("not a readable CSV", where=str(path), why=str(error)[:200]) from error
    if not rows:
        raise SamplesError("no samples", where=str(path))
    return np.array(rows[:limit], np.float32).reshape(-1, *shape)
