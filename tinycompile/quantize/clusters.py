"""Weights of a layer with few different values: k-means, then values and weights in turns by what results lose.

All channels have the same values, times scales of their own, so that one table of the layer is enough. Between few
values rounding is coarse, so weights of an output are chosen together, as those of few bits are: one column after the
other takes the value that makes up best for what the others lose.

Sources: E. Frantar et al., "GPTQ", ICLR 2023 (columns that make up for those before); S. Han et al., "Deep
Compression", ICLR 2016 (weights that share values); H. Wang and M. Song, "Ckmeans.1d.dp", The R Journal 3/2, 2011
(k-means of numbers, exactly, by dynamic programming).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from tinycompile.ir import Array

_TURNS = 4
"""Of weights for values and values for weights, at most."""
_SWEEPS = 3
"""Over all columns in a turn."""
_ENOUGH = 1e-3
"""Part of the error from which on it is worth another turn."""
_LARGEST, _LEAST_POWER = 127, 1e-30


@dataclass(frozen=True, eq=False)
class Clusters:
    """What stands for a layer's weights.

    Attributes:
        codes: int8 (parts, outputs, depth), of so many values at most. scales: float32 (parts, outputs).
        noise: power of the error as a part of the results'.
    """

    codes: Array
    scales: Array
    noise: float


def means_of(counts: Array, number: int) -> Array:
    """int64: the whole numbers to which all others are nearest, weighted: k-means of numbers in one dimension, exactly.

    Args:
        counts: float64 (255,): how much -127 to 127 count. number: of values, at most.
    """
    used = np.flatnonzero(counts > 0)
    points, weights = used.astype(np.float64) - _LARGEST, counts[used]
    if used.size <= number:
        return used - _LARGEST
    sums = [np.concatenate([[0.0], np.cumsum(weights * points**power)]) for power in range(3)]
    first, last = np.arange(used.size + 1)[:, None], np.arange(used.size + 1)[None]
    total, moment, square = (each[last] - each[first] for each in sums)
    centre = np.rint(moment / np.maximum(total, _LEAST_POWER))
    within = np.where(last > first, square - 2 * centre * moment + centre * centre * total, np.inf)
    least, before = within[0], list[Array]()
    for _ in range(number - 1):
        tried = least[:, None] + within
        before.append(tried.argmin(axis=0))
        least = tried.min(axis=0)
    ends = [used.size]
    for starts in reversed(before):
        ends.append(int(starts[ends[-1]]))
    ends = [*ends, 0]
    return np.unique([int(centre[a, b]) for b, a in pairwise(ends) if b > a])


def cluster_weights(weights: Array, scales: Array, moment: Array, number: int, damping: float) -> Clusters:
    """Values for a layer, and each weight as one of them.

    Args:
        weights: float32 (parts, outputs, depth). scales: float32 (parts, outputs), with which they are within -127 to
            127, about.
        moment: (parts, depth, depth), the mean of x x^T over the operands x of a row.
        number: of values, 2 at least.
        damping: part of the mean power that is added to each operand's.
    """
    depth, steps = weights.shape[2], scales[..., None].astype(np.float64)
    power = float(np.einsum("gkk->", moment)) / (depth * len(moment))
    full = moment.astype(np.float64) + max(damping * power, _LEAST_POWER) * np.eye(depth)
    wanted = weights / steps  # in units of the codes; an output's error counts by its scale's square
    each = np.einsum("gkk->gk", full)[:, None, :] * np.square(steps)
    nearest = np.clip(np.rint(wanted), -_LARGEST, _LARGEST).astype(np.int64)
    counts = np.bincount((nearest + _LARGEST).ravel(), each.ravel(), minlength=2 * _LARGEST + 1)
    values = means_of(counts, number)
    codes = _nearest(wanted, values)
    best, least = (codes, values), _cost(codes, wanted, full, steps)
    for _ in range(_TURNS):
        codes = _descended(_one_by_one(wanted, full, values), wanted, full, values)
        found = _cost(codes, wanted, full, steps)
        better, enough = found < least, found < least * (1 - _ENOUGH)
        if better:
            best, least = (codes, values), found
        if not enough:
            break
        values = _refitted(codes, wanted, full, steps, values)
    codes, _ = best
    scales = _scales(codes, wanted, full) * scales
    lost, whole = codes * scales[..., None] - weights, weights.astype(np.float64)
    noise = _form(lost, moment) / max(_form(whole, moment), _LEAST_POWER)
    return Clusters(codes.astype(np.int8), scales.astype(np.float32), noise)


def _nearest(wanted: Array, values: Array) -> Array:
    """float64: of each number the nearest of ascending values."""
    edges = (values[1:] + values[:-1]) / 2
    return values[np.searchsorted(edges, wanted)].astype(np.float64)


def _form(rows: Array, moment: Array) -> float:
    """The sum of r^T moment r of all rows."""
    return float(np.einsum("god,god->", rows @ moment, rows))


def _cost(codes: Array, wanted: Array, moment: Array, steps: Array) -> float:
    return _form((codes - wanted) * steps, moment)


def _one_by_one(wanted: Array, moment: Array, values: Array) -> Array:
    """Column by column the nearest value, whose error the columns behind make up for; the strongest columns first."""
    codes = np.empty_like(wanted)
    for rows, square, found in zip(wanted, moment, codes, strict=True):
        order = np.argsort(-square.diagonal(), kind="stable")
        left = rows[:, order]
        sorted_: Array = square[np.ix_(order, order)]
        inverse: Array = np.linalg.inv(sorted_)
        upper: Array = np.linalg.cholesky(inverse).swapaxes(0, 1)
        for place, column in enumerate(order):
            found[:, column] = _nearest(left[:, place], values)
            error: Array = (left[:, place] - found[:, column]) / upper[place, place]
            left[:, place + 1 :] -= error[:, None] * upper[place, place + 1 :]
    return codes


def _descended(codes: Array, wanted: Array, moment: Array, values: Array) -> Array:
    """Each column in turn takes the values that are best beside the others': never a worse one."""
    codes = codes.copy()
    slope = (codes - wanted) @ moment
    for _ in range(_SWEEPS):
        moved = False
        for column in range(codes.shape[2]):
            own = moment[:, column, column][:, None]
            chosen = _nearest(codes[..., column] - slope[..., column] / own, values)
            change = chosen - codes[..., column]
            if change.any():
                moved = True
                slope += change[..., None] * moment[:, column][:, None]
                codes[..., column] = chosen
        if not moved:
            break
    return codes


def _refitted(codes: Array, wanted: Array, moment: Array, steps: Array, values: Array) -> Array:
    """int64: whole numbers with which these choices lose least, by least squares of all outputs together."""
    which = [codes == value for value in values]
    moved = [(each * steps) @ moment for each in which]
    gram = np.array([[float((a * b * steps).sum()) for b in which] for a in moved])
    aim = np.array([float((a * wanted * steps).sum()) for a in moved])
    hold = _ENOUGH * max(float(gram.trace()) / len(values), _LEAST_POWER)
    solved = np.linalg.solve(gram + hold * np.eye(len(values)), aim + hold * values)
    return np.unique(np.clip(np.rint(solved), -_LARGEST, _LARGEST).astype(np.int64))


def _scales(codes: Array, wanted: Array, moment: Array) -> Array:
    """float64 (parts, outputs): by what each output's scale is multiplied, to lose least."""
    moved = codes @ moment
    power, along = (moved * codes).sum(axis=2), (moved * wanted).sum(axis=2)
    return np.where((power > 0) & (along > 0), along / np.where(power > 0, power, 1), 1.0)
