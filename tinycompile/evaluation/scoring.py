"""The measures of outputs that are compared with labels."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from statistics import fmean

import numpy as np

from tinycompile.evaluation.data import MOST_CLASSES, Labelled, Task
from tinycompile.ir import Array
from tinycompile.numerics.measures import (
    ClassMeasures,
    absolute_error,
    auc,
    by_class,
    class_counts,
    confusion,
    determination,
    mean_iou,
    ranked,
    squared_error,
    top_k,
)

TOP_FIVE_FROM = 10
"""Classes, from which on the five best count, too."""

MOST_CONFUSED = 1 << 8
"""Classes, up to which there is a matrix, which has the square of that: of 1,000 classes a report would have 11 MB."""

PAIRS = 100
"""Of classes that are taken for each other: so many are listed."""

_OF_CLASSES = ("top1", "top5", "auc", "balanced_accuracy", "macro_f1")
MEASURES = {
    Task.CLASSES: _OF_CLASSES,
    Task.POSITIONS: (*_OF_CLASSES, "mean_iou"),
    Task.BINARY: ("auc", "top1", "balanced_accuracy", "macro_f1"),
    Task.ANOMALY: ("auc", "mse"),
    Task.RECONSTRUCTION: ("mse",),
    Task.REGRESSION: ("mse", "mae", "r2"),
}
"""That there can be; how many classes there are decides about some."""

ABOUT_ONE = 0.02
"""By how much scores of 8 bits miss a sum of 1."""


@dataclass(frozen=True, eq=False)
class Scored:
    """What outputs are worth.

    Attributes:
        measures: by their keys, such as "top1".
        decided: the class of each sample, or place; None where none is decided.
        badness: (samples,), the higher the worse; infinite where an output has a NaN.
        confusion: (classes, classes), rows are labels; None where no class is decided, or there are too many.
        pairs: (samples, label, the other class that was decided), the most frequent first.
    """

    measures: dict[str, float]
    decided: Array | None
    badness: Array
    confusion: Array | None = None
    classes: list[ClassMeasures] = field(default_factory=list[ClassMeasures])
    pairs: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])


def scored(data: Labelled, outputs: Array, threshold: float) -> Scored:
    """Measures of real outputs.

    Args:
        outputs: (samples, *shape). threshold: from which on a single score means class 1.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a model of floats may overflow
        found = _scored(data, outputs, threshold)
    return replace(found, badness=np.where(np.isnan(found.badness), np.inf, found.badness))


def _scored(data: Labelled, outputs: Array, threshold: float) -> Scored:
    values = data.counted(outputs)
    if data.task in (Task.CLASSES, Task.POSITIONS):
        return _classes(data, values)
    if data.task == Task.BINARY:
        return _binary(_labels(data), values, threshold)
    if data.task == Task.REGRESSION:
        return _regression(values, _labels(data))
    given = next(each for each in data.reals if each[0].size == outputs[0].size)
    errors = squared_error(values, data.counted(given))
    measures = {"mse": float(errors.mean())}
    if data.task == Task.RECONSTRUCTION:
        return Scored(measures, None, errors)
    labels = _labels(data)
    if data.groups is None:
        return Scored({"auc": auc(errors, labels), **measures}, None, _misplaced(errors, labels))
    _, first, member = np.unique(data.groups, return_index=True, return_inverse=True)
    means = np.bincount(member, errors) / np.bincount(member)
    misplaced = _misplaced(means, labels[first])[member]
    return Scored({"auc": auc(means, labels[first]), **measures}, None, misplaced)


def _labels(data: Labelled) -> Array:
    if data.labels is None:
        raise ValueError(f"{data.task} needs labels")
    return data.labels


def _classes(data: Labelled, values: Array) -> Scored:
    labels, count = _labels(data).reshape(-1), data.classes
    if count == 0:  # the output is the number of a class
        decided = values.reshape(len(values)).astype(np.int64)
        wrong, none = (decided != labels).astype(np.float64), (decided < 0) | (decided >= MOST_CLASSES)
        count = int(max(labels.max(), np.where(none, 0, decided).max(initial=0))) + 1
        if none.any():  # as a class behind the others
            decided, count = np.where(none, count, decided), count + 1
        return _decided(labels, decided, count, wrong, {})
    scores = np.moveaxis(values, data.axis, -1).reshape(-1, count)
    decided = ranked(scores, 1)[:, 0]
    rows = np.arange(len(scores))
    margin = np.where(decided == labels, 0, scores[rows, decided] - scores[rows, labels])
    margin = margin.reshape(len(values), -1).mean(axis=1)
    further = dict[str, float]()
    if count >= TOP_FIVE_FROM:
        further["top5"] = top_k(scores, labels, 5)
    if count == 2:
        further["auc"] = auc(_of_two(scores), labels)
    return _decided(labels, decided, count, margin, further, positions=data.task == Task.POSITIONS)


def _of_two(scores: Array) -> Array:
    """The score of class 1 of two: its probability, where they are such, else by how much it is above the other one."""
    about = np.abs(scores.sum(axis=1) - 1) < ABOUT_ONE
    return scores[:, 1] if np.all(about) and scores.min() >= 0 else scores[:, 1] - scores[:, 0]


def _decided(
    labels: Array, decided: Array, count: int, badness: Array, further: dict[str, float], *, positions: bool = False
) -> Scored:
    counts = class_counts(labels, decided, count)
    classes, matrix = by_class(counts), confusion(labels, decided, count) if count <= MOST_CONFUSED else None
    known, seen = [c for c in classes if c.samples], [c for c in classes if c.samples or c.predicted]
    measures = {"top1": float(counts[0].sum() / len(labels)), **further}
    measures["balanced_accuracy"] = fmean(c.recall for c in known)
    measures["macro_f1"] = fmean(c.f1 for c in seen)
    if positions:
        measures["mean_iou"] = mean_iou(counts)
    return Scored(measures, decided, badness, matrix, classes, _pairs(labels, decided))


def _pairs(labels: Array, decided: Array) -> list[tuple[int, int, int]]:
    wrong = decided != labels
    found, counts = np.unique(np.stack([labels[wrong], decided[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:PAIRS]
    return [(int(counts[i]), int(found[i, 0]), int(found[i, 1])) for i in order]


def _binary(labels: Array, values: Array, threshold: float) -> Scored:
    """Each score is one of its own, of which a sample may have several: a batch of them, or one at each place."""
    flat, scores = labels.reshape(-1), values.reshape(-1)
    decided = (scores >= threshold).astype(np.int64)
    misplaced = _misplaced(scores, flat).reshape(len(values), -1).mean(axis=1)
    found = _decided(flat, decided, 2, misplaced, {})
    return replace(found, measures={"auc": auc(scores, flat), **found.measures})


def _regression(values: Array, wanted: Array) -> Scored:
    errors = squared_error(values, wanted)
    measures = {"mse": float(errors.mean()), "mae": absolute_error(values, wanted), "r2": determination(values, wanted)}
    return Scored(measures, None, errors)


def _misplaced(scores: Array, labels: Array) -> Array:
    """The share of the other class' samples that are on the wrong side of each; ties count half. NaN of a NaN."""
    known = ~np.isnan(scores)
    found = np.where(known, 0.0, np.nan)
    for own, sign in ((1, 1.0), (0, -1.0)):
        others = np.sort(sign * scores[known & (labels != own)])
        mine = sign * scores[known & (labels == own)]
        if others.size:
            above = others.size - np.searchsorted(others, mine, "right")
            ties = others.size - np.searchsorted(others, mine, "left") - above
            found[known & (labels == own)] = (above + ties / 2) / others.size
    return found
