"""Labelled samples to train with, to choose by, and to judge the chosen network with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.errors import SamplesError
from tinycompile.ir import Array
from tinycompile.samples import load_arrays
from tinycompile.search.resolution import averaged, sample_shape

FOLDS = 3
"""Times that a candidate is trained and judged, each time by others of the samples, where there are few."""
ENOUGH = 5000
"""Samples of which the last fifth of each class, in the file's order, is enough to compare networks on."""

_FIFTHS = 5
_HINT = "x (count, channels, height, width), (count, channels, steps) or (count, features); y (count,) of integers"

CALIBRATION = 256
"""Samples that the best are quantised with."""


@dataclass(frozen=True, eq=False)
class Part:
    """Samples (count, *shape), float32, and their classes (count,), int64."""

    x: Array
    y: Array

    def __len__(self) -> int:
        return len(self.x)

    def seen_by(self, network: Any) -> Part:
        """The samples that a network takes: a ModelProto's may have fewer rows and columns."""
        return Part(averaged(self.x, sample_shape(network)), self.y) if hasattr(network, "graph") else self


@dataclass(frozen=True, eq=False)
class Data:
    """What a search is given.

    Attributes:
        known: all samples that networks may be trained with.
        folds: what a candidate is trained with and judged on, once for each; judged samples are in one fold only.
        test: what nothing is chosen by; None where the file has none.
    """

    known: Part
    folds: tuple[tuple[Part, Part], ...]
    test: Part | None
    classes: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample, channels first: (channels, height, width) or (features,)."""
        return self.known.x.shape[1:]

    def line(self) -> str:
        """For people: how the file was understood."""
        channels, *sizes = self.shape
        each = f"{channels} channel{'' if channels == 1 else 's'}"
        kind = f"{each} of {'x'.join(map(str, sizes))}" if sizes else f"{channels} features"
        if len(sizes) == 2 and sizes[0] == 1:
            kind = f"{each}, {sizes[1]} steps"
        trained, judged = (len(part) for part in self.folds[0])
        test = "no x_test" if self.test is None else f"{len(self.test):,} to test with"
        often = "once" if len(self.folds) == 1 else f"{len(self.folds)} times"
        return (
            f"{len(self.known):,} samples of {kind}, {self.classes} classes; candidates are trained {often}, "
            f"with {trained:,} samples, and judged by {judged:,}; {test}"
        )

    @staticmethod
    def read(path: Path, folds: int | None = None) -> Data:
        """From an `.npz`: `x` and `y`, optionally `x_validation`, `y_validation` and `x_test`, `y_test`.

        Samples without those for validation are split by class, in the file's order, so that neighbours such as one
        person's stay together: in so many folds; None for `FOLDS` where there are few, else 1, a fifth of them.

        `x` is (count, channels, height, width), (count, channels, steps), which is an image of one row, or
        (count, features).

        Raises:
            SamplesError: arrays are missing, of other shapes, or not of classes that can be learned from them.
        """
        arrays = load_arrays(path)
        train = _part(arrays, "", path)
        if train is None:
            raise SamplesError("there is no x and y", where=str(path), hint=_HINT)
        test, validation = (_part(arrays, f"_{name}", path) for name in ("test", "validation"))
        parts = [part for part in (train, validation, test) if part is not None]
        for part in parts:
            if part.x.shape[1:] != train.x.shape[1:]:
                raise SamplesError(
                    f"samples of shapes {train.x.shape[1:]} and {part.x.shape[1:]}",
                    where=str(path),
                    why="a network takes samples of one shape: x, x_validation and x_test have the same",
                    hint="cut or resize them before they are saved",
                )
        if validation is not None:
            return Data(_joined(train, validation), ((train, validation),), test, _classes(parts, path))
        classes, count = _classes(parts, path), folds or (1 if len(train) >= ENOUGH else FOLDS)
        least, pieces = int(np.bincount(train.y).min()), count if count > 1 else _FIFTHS
        if least < pieces:
            raise SamplesError(
                f"a class has {least} samples, which are too few to be split in {pieces}",
                where=str(path),
                hint="more samples; fewer --folds; x_validation and y_validation of your own",
            )
        return Data(train, _split(train, count), test, classes)


def _classes(parts: Sequence[Part], path: Path) -> int:
    """How many. Raises SamplesError: not two or more, from 0 on, each with samples in the first part."""
    known = np.unique(parts[0].y)
    missing = {int(label) for part in parts for label in np.unique(part.y)} - set(known.tolist())
    if len(known) < 2 or known[0] != 0 or known[-1] != len(known) - 1 or missing:
        said = ", ".join(map(str, [*known[:8].tolist(), *(["..."] if len(known) > 8 else [])]))
        others = f", and another part {min(missing)}, too" if missing else ""
        raise SamplesError(
            f"y has the classes {said}{others}",
            where=str(path),
            why="classes are 0, 1, 2 ..., at least two, and y has samples of each",
            hint="np.unique(y, return_inverse=True)[1] numbers them",
        )
    return len(known)


def _part(arrays: dict[str, Array], suffix: str, path: Path) -> Part | None:
    """Raises SamplesError: these are no samples with classes."""
    x, y = arrays.get(f"x{suffix}"), arrays.get(f"y{suffix}")
    if x is None and y is None:
        return None
    if x is None or y is None:
        raise SamplesError(f"there is no {'x' if x is None else 'y'}{suffix}", where=str(path), hint=_HINT)
    if why := _why_none(x, y, suffix):
        raise SamplesError(
            f"x{suffix} {x.shape} {x.dtype} and y{suffix} {y.shape} {y.dtype} are no samples with classes",
            where=str(path),
            why=why,
            hint=_HINT,
        )
    with np.errstate(over="ignore"):
        wrong = ~np.isfinite(x.astype(np.float32)).reshape(len(x), -1).all(1)
    if wrong.any():
        raise SamplesError(
            f"x{suffix} has values that aren't finite as float32",
            where=str(path),
            why=f"sample {int(np.flatnonzero(wrong)[0])} is the first of {np.count_nonzero(wrong)} that have",
            hint="leave these samples out, or fill what is missing",
        )
    if x.ndim == 3:
        x = x[:, :, None, :]
    return Part(np.ascontiguousarray(x, np.float32), y.astype(np.int64))


def _why_none(x: Array, y: Array, suffix: str) -> str:
    """Why these are no samples with classes; nothing where they are."""
    if x.dtype.kind not in "fiub":
        return f"x{suffix} has no real numbers"
    if x.ndim not in (2, 3, 4) or not x.size:
        return f"x{suffix} has {f'the shape {x.shape}' if x.size else 'no values'}"
    if y.ndim == 2 and len(x) == len(y):
        one = "y[:, 0]" if y.shape[1] == 1 else "y.argmax(1), if a column is for each class,"
        return f"y{suffix} has two dimensions; {one} has one"
    if y.ndim != 1:
        return f"y{suffix} has the shape {y.shape}"
    if y.dtype.kind not in "iu":
        return f"classes are integers; np.unique(y{suffix}, return_inverse=True)[1] numbers whatever y has"
    return "" if len(x) == len(y) else f"{len(x):,} samples and {len(y):,} classes"


def _joined(first: Part, second: Part) -> Part:
    return Part(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))


def _split(whole: Part, folds: int) -> tuple[tuple[Part, Part], ...]:
    """Folds; one is the last fifth of each class."""
    parts = folds if folds > 1 else _FIFTHS
    fold = np.zeros(len(whole), np.int64)
    for each in np.unique(whole.y):
        places = np.flatnonzero(whole.y == each)
        fold[places] = np.arange(len(places)) * parts // len(places)
    chosen = range(parts) if folds > 1 else (parts - 1,)
    return tuple(
        (Part(whole.x[fold != i], whole.y[fold != i]), Part(whole.x[fold == i], whole.y[fold == i])) for i in chosen
    )


def save_calibration(path: Path, part: Part, limit: int) -> Path:
    """An `.npz` for `quantize` to calibrate with: samples evenly chosen, `limit` of them at the most."""
    np.savez_compressed(path, x=part.x[np.unique(np.linspace(0, len(part) - 1, min(limit, len(part))).astype(int))])
    return path


def save_labelled(path: Path, part: Part) -> Path:
    """An `.npz` for `quantize` to measure with."""
    np.savez_compressed(path, x=part.x, y=part.y)
    return path
