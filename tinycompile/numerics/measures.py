"""How good predictions are: the measures that scikit-learn has under the same names, in NumPy.

Where scores are equal, the class with the lower number comes first, as in a firmware that looks for the largest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def ranked(scores: Array, count: int) -> Array:
    """The `count` best classes, the best first, of equals the lower number: (samples, count) of (samples, classes)."""
    return np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :count]


def top_k(scores: Array, labels: Array, k: int) -> float:
    """How often the label is among the `k` best classes.

    Args:
        scores: (samples, classes). labels: (samples,), numbers of classes.
    """
    right = (ranked(scores, k) == labels[:, None]).any(axis=1)
    return float(right.mean())


def auc(scores: Array, positive: Array) -> float:
    """Area under the ROC curve, by ranks: with the positive samples' ranks r among all scores, from 1 on, equal scores
    sharing the mean of theirs, and p positive and n negative samples,

        AUC = (sum of r - p (p + 1) / 2) / (p n)

    which is how often a positive sample scores higher than a negative one, ties counting half. NaN where either is
    missing, or a score is NaN.
    """
    is_positive, values = positive.ravel() == 1, scores.ravel()
    p, n = int(np.count_nonzero(is_positive)), int(np.count_nonzero(~is_positive))
    if p == 0 or n == 0 or np.isnan(values).any():
        return float("nan")
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = (2 * last - counts + 1)[place.ravel()]  # twice the mean rank: a sum of integers
    return float(int(doubled[is_positive].sum()) - p * (p + 1)) / (2 * p * n)


def confusion(labels: Array, predicted: Array, classes: int) -> Array:
    """How many samples of a class (rows) were taken for which one (columns)."""
    counted = np.bincount(labels.astype(np.int64) * classes + predicted, minlength=classes * classes)
    return counted.reshape(classes, classes)


@dataclass(frozen=True)
class ClassMeasures:
    """Of one class.

    Attributes:
        samples: with this label. predicted: as which so many were taken.
        precision: of those that were taken for it, how many are. recall: of those that are, how many were taken for it.
            0 where there are none.
        f1: their harmonic mean, 2 right / (samples + predicted).
    """

    samples: int
    predicted: int
    precision: float
    recall: float
    f1: float


def class_counts(labels: Array, predicted: Array, classes: int) -> Array:
    """(3, classes): of each class the samples that were taken for it and are, that are, that were taken for it."""
    right = labels[labels == predicted]
    return np.stack([np.bincount(each.astype(np.int64), minlength=classes) for each in (right, labels, predicted)])


def by_class(counts: Array) -> list[ClassMeasures]:
    """Of `class_counts`."""
    found = list[ClassMeasures]()
    for right, samples, predicted in counts.T.tolist():
        f1 = _ratio(2 * right, samples + predicted)
        found.append(ClassMeasures(samples, predicted, _ratio(right, predicted), _ratio(right, samples), f1))
    return found


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def mean_iou(counts: Array) -> float:
    """Mean of intersection over union of the classes that are labels or predictions anywhere, of `class_counts`."""
    right, union = counts[0], counts[1] + counts[2] - counts[0]
    shares: Array = right[union > 0] / union[union > 0]
    return float(shares.mean())


def squared_error(values: Array, wanted: Array) -> Array:
    """The mean squared difference of each sample: (samples,)."""
    difference = values.reshape(len(values), -1).astype(np.float64) - wanted.reshape(len(wanted), -1)
    return np.mean(np.square(difference), axis=1)


def absolute_error(values: Array, wanted: Array) -> float:
    """The mean absolute difference."""
    return float(np.mean(np.abs(values.ravel().astype(np.float64) - wanted.ravel())))


def determination(values: Array, wanted: Array) -> float:
    """R²: 1 - (sum of squared errors) / (sum of squared deviations from the mean), each output on its own, then their
    mean, as scikit-learn's r2_score; of an output that is constant 1 without errors, else 0.
    """
    found, true = values.reshape(len(values), -1).astype(np.float64), wanted.reshape(len(wanted), -1)
    errors = np.square(found - true).sum(axis=0)
    spread = np.square(true - true.mean(axis=0)).sum(axis=0)
    constant: Array = np.where(errors > 0, 0.0, 1.0) + 0 * errors  # NaN of a NaN
    shares: Array = np.where(spread > 0, 1 - errors / np.where(spread > 0, spread, 1), constant)
    return float(shares.mean())
