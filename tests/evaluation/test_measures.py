"""Measures of predictions against the values that scikit-learn 1.9.1 has for them."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest

from tinycompile.numerics.measures import (
    absolute_error,
    auc,
    by_class,
    class_counts,
    confusion,
    determination,
    mean_iou,
    squared_error,
    top_k,
)

RNG = np.random.default_rng(37)
SCORES = RNG.normal(size=(40, 12))
LABELS = RNG.integers(0, 12, 40)
WANTED = RNG.normal(size=(20, 3))
FOUND = WANTED + 0.3 * RNG.normal(size=(20, 3))

PRECISION = (0, 1 / 6, 1 / 3, 0, 0, 0, 0, 0.25, 0, 1 / 6, 0, 0)
RECALL = (0, 0.25, 1 / 6, 0, 0, 0, 0, 1 / 3, 0, 0.25, 0, 0)
F1 = (0, 0.2, 0.2222222222222222, 0, 0, 0, 0, 0.2857142857142857, 0, 0.2, 0, 0)
SUPPORT = (3, 4, 6, 1, 2, 3, 5, 3, 4, 4, 4, 1)


def test_classes_are_measured_as_scikit_learn_does() -> None:
    matrix = confusion(LABELS, SCORES.argmax(axis=1), 12)
    counts = class_counts(LABELS, SCORES.argmax(axis=1), 12)
    assert np.array_equal(counts, [np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)])
    classes = by_class(counts)
    assert matrix.sum() == 40 and np.trace(matrix) / 40 == 0.1
    assert top_k(SCORES, LABELS, 1) == 0.1
    assert top_k(SCORES, LABELS, 5) == 0.475
    assert [c.samples for c in classes] == list(SUPPORT)
    _, _, *measured = zip(*map(astuple, classes), strict=True)
    assert measured == [pytest.approx(wanted) for wanted in (PRECISION, RECALL, F1)]
    assert mean_iou(counts) == pytest.approx(0.04282407407407407)


def test_auc_with_ties_and_errors_as_scikit_learn_has_them() -> None:
    positive = LABELS % 2
    scores = np.round(SCORES[:, 0] + 0.4 * positive, 1)
    assert len(np.unique(scores)) == 26  # of 40
    assert auc(scores, positive) == pytest.approx(0.6875, abs=1e-12)
    assert squared_error(FOUND, WANTED).mean() == pytest.approx(0.09244490545663753)
    assert absolute_error(FOUND, WANTED) == pytest.approx(0.237157939201572)
    assert determination(FOUND, WANTED) == pytest.approx(0.8629952056545611)


def test_edges() -> None:
    assert np.isnan(auc(np.arange(3.0), np.ones(3)))
    assert np.isnan(auc(np.array([1, np.nan, 0]), np.array([1, 0, 1])))
    assert auc(np.zeros(4), np.array([0, 1, 0, 1])) == 0.5
    assert auc(np.array([1, 2, 3, 4]), np.array([0, 0, 1, 1])) == 1.0
    assert determination(np.ones((3, 1)), np.ones((3, 1))) == 1.0
    assert determination(np.array([[1.0], [1.0], [2.0]]), np.ones((3, 1))) == 0.0
    assert np.isnan(determination(np.array([[1.0], [np.nan]]), np.ones((2, 1))))
    same = np.zeros((2, 4))
    assert top_k(same, np.array([0, 3]), 1) == 0.5  # of equals the lower number
    assert top_k(same, np.array([0, 3]), 3) == 0.5
