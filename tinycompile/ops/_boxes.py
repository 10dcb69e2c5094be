"""Boxes as detectors have them, by two opposite corners (y, x, y, x): how much they overlap, and which of them stay."""

from __future__ import annotations

from collections.abc import Iterable

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


Candidate = tuple[np.float32, int, int]
"""Score, box, with how many of those that stay it was compared."""


class Heap:
    """A binary heap by scores, with the moves of libstdc++'s `push_heap` and `pop_heap`: among equal scores they decide
    which candidate comes first, and LiteRT is built with them.
    """

    def __init__(self, candidates: Iterable[Candidate] = ()) -> None:
        self.entries = list[Candidate]()
        for candidate in candidates:
            self.push(candidate)

    def push(self, candidate: Candidate) -> None:
        self.entries.append(candidate)
        self._rise(len(self.entries) - 1, candidate)

    def pop(self) -> Candidate:
        """One of the highest score."""
        entries, top = self.entries, self.entries[0]
        last, hole = entries.pop(), 0
        if not entries:
            return top
        while 2 * hole + 2 < len(entries):
            child = 2 * hole + 2
            child -= int(entries[child][0] < entries[child - 1][0])
            entries[hole], hole = entries[child], child
        if 2 * hole + 2 == len(entries):
            entries[hole], hole = entries[2 * hole + 1], 2 * hole + 1
        self._rise(hole, last)
        return top

    def _rise(self, hole: int, candidate: Candidate) -> None:
        while hole > 0 and self.entries[(hole - 1) // 2][0] < candidate[0]:
            self.entries[hole], hole = self.entries[(hole - 1) // 2], (hole - 1) // 2
        self.entries[hole] = candidate


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
