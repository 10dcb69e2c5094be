"""Boxes as detectors have them, by two opposite corners (y, x, y, x): how much they overlap, and which of them stay."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np

from tinycompile.ir import Array


def overlaps(boxes: Array, one: int, others: Array) -> Array:
    """Intersection over union of a box with others, in float32 (`ComputeIntersectionOverUnion`); 0 of empty boxes."""
    corners = boxes[np.append(others, one)]
    low = np.where(corners[:, 2:] < corners[:, :2], corners[:, 2:], corners[:, :2])
    high = np.where(corners[:, :2] < corners[:, 2:], corners[:, 2:], corners[:, :2])
    with np.errstate(all="ignore"):
        areas = (high[:, 0] - low[:, 0]) * (high[:, 1] - low[:, 1])
        bottom, top = np.minimum(high[:-1], high[-1]), np.maximum(low[:-1], low[-1])
        height, width = (np.maximum(bottom[:, axis] - top[:, axis], np.float32(0)) for axis in (0, 1))
        common = height * width
        result = common / (areas[:-1] + areas[-1] - common)
    return np.where((areas[:-1] <= 0) | (areas[-1] <= 0), np.float32(0), result)


T = TypeVar("T")

Candidate = tuple[np.float32, int, int]
"""Score, box, with how many of those that stay it was compared."""


def settle(entries: list[T], hole: int, count: int, value: T, below: Callable[[T, T], bool]) -> None:
    """Puts `value` where a heap of the first `count` entries has a hole, with the moves of libstdc++'s `__adjust_heap`:
    among equal ones they decide which comes first, and LiteRT is built with them.

    Args:
        below: whether an entry belongs below another one.
    """
    top = hole
    while 2 * hole + 2 < count:
        child = 2 * hole + 2
        child -= int(below(entries[child], entries[child - 1]))
        entries[hole], hole = entries[child], child
    if 2 * hole + 2 == count:
        entries[hole], hole = entries[2 * hole + 1], 2 * hole + 1
    rise(entries, hole, top, value, below)


def rise(entries: list[T], hole: int, top: int, value: T, below: Callable[[T, T], bool]) -> None:
    """`__push_heap`: puts `value` into a hole, or as far above it as it belongs."""
    while hole > top and below(entries[(hole - 1) // 2], value):
        entries[hole], hole = entries[(hole - 1) // 2], (hole - 1) // 2
    entries[hole] = value


class Heap:
    """A heap of candidates by their scores."""

    def __init__(self, candidates: Iterable[Candidate]) -> None:
        self.entries = list[Candidate]()
        for candidate in candidates:
            self.push(candidate)

    def push(self, candidate: Candidate) -> None:
        self.entries.append(candidate)
        rise(self.entries, len(self.entries) - 1, 0, candidate, _worse)

    def pop(self) -> Candidate:
        """One of the highest score."""
        top, last = self.entries[0], self.entries.pop()
        if self.entries:
            settle(self.entries, 0, len(self.entries), last, _worse)
        return top


def _worse(a: Candidate, b: Candidate) -> bool:
    return bool(a[0] < b[0])


def kept(boxes: Array, scores: Array, most: int, overlap: float, least: float, sigma: float) -> tuple[Array, Array]:
    """(positions, scores) of the boxes that stay, the best first (`NonMaxSuppression`).

    A box that stays is a candidate again, which goes since it overlaps with itself; an empty one doesn't, and stays
    once more.

    Args:
        boxes, scores: float32 (N, 4), (N,). most: how many stay at most.
        overlap: with one that stays, from which on a box goes. least: a score of more than this is needed.
        sigma: of a Gaussian by which overlap lowers scores; 0 for none.
    """
    limit, enough = np.float32(least), np.float32(overlap)
    heap = Heap((scores[i], i, 0) for i in np.flatnonzero(scores > limit).tolist())
    wanted, found, values = min(len(heap.entries), most), list[int](), list[np.float32]()
    factor = np.float32(-0.5 / sigma) if sigma > 0 else np.float32(0)
    while len(found) < wanted and heap.entries:
        before, box, compared = heap.pop()
        score, goes, already = before, False, len(found)
        for common in overlaps(boxes, box, np.array(found[compared:][::-1], np.int64)):
            goes = bool(common >= enough)
            score = np.float32(score * np.exp(factor * common * common)) if sigma > 0 and not goes else score
            if goes or score <= limit:
                break
        if goes:
            continue
        if score == before:
            found.append(box)
            values.append(score)
        if score > limit:
            heap.push((score, box, already))
    return np.array(found, np.int32), np.array(values, np.float32)
