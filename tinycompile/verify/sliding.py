"""The reference of a model whose input is what is new in a window: the whole window in every step.

A step is compared with an inference of the model as its file has it, on all rows that have come so far: first
a window of zeros, of zero points where there are scales, into which the rows move.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.ir import Array
from tinycompile.verify.reference import Judged, Reference, Reported, Witness


def with_whole_windows(build: Build) -> Build:
    """A build as references read it, with the shape of the input that the source model has."""
    whole, slide = copy(build), build.report["slide"]
    inputs: list[dict[str, Any]] = [dict(entry) for entry in build.report["inputs"]]
    number: int = slide["input"]
    moved = inputs[number]
    axis: int = slide["axis"]
    moved["shape"] = [*moved["shape"][:axis], slide["rows"], *moved["shape"][axis + 1 :]]
    whole.report = {**build.report, "inputs": inputs}
    return whole


class SlidingReference:
    """Asks another reference about whole windows.

    Args:
        reference: of the source model.
        report: of the build; its samples are steps of one sequence.
    """

    def __init__(self, reference: Reference, report: dict[str, Any]) -> None:
        self._reference, self._slide = reference, report["slide"]
        entry, axis = report["inputs"][self._slide["input"]], self._slide["axis"]
        shape = (*entry["shape"][:axis], self._slide["rows"], *entry["shape"][axis + 1 :])
        self._first: Array = np.full(shape, entry["zero_point"] or 0, np.dtype(str(entry["dtype"])))
        self._window: Array = self._first

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        return self._reference.witnesses

    def judge(self, inputs: Sequence[Array], reported: Sequence[Reported]) -> Judged:
        """Of a step; what the firmware reports of parts of tensors is no whole one to go on from."""
        number: int = self._slide["input"]
        axis: int = self._slide["axis"]
        shape = (*self._window.shape[:axis], self._slide["step"], *self._window.shape[axis + 1 :])
        joined: list[Array] = [self._window, np.reshape(inputs[number], shape)]
        self._window = np.concatenate(joined, axis)
        rows = self._window.shape[axis]
        self._window = np.take(self._window, range(rows - self._slide["rows"], rows), axis)
        whole = [self._window if i == number else array for i, array in enumerate(inputs)]
        return self._reference.judge(whole, [each for each in reported if each.entry.get("source_rows") is None])

    def reset(self) -> None:
        self._window = self._first
        self._reference.reset()

    def skipped(self, entries: Sequence[dict[str, Any]]) -> list[str]:
        return self._reference.skipped(entries)
