"""Constant masks of attention, row by row as runs of scores with the same function (`tc_attention_mask.h`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import structured
from tinycompile.ops._elementwise import INT8_VALUES

STAYS, FILLED = 255, 254
"""What a run has in the place of a table's number."""
_SHORTEST = 3
"""Scores that a run has on average; shorter ones cost more than the operators one by one."""
_OF_RUN, _OF_LOOKUP, _OF_FILL = 14, 3, 0.75
"""Instructions: of a run, and of each of its scores."""


@dataclass(frozen=True, eq=False)
class MaskRuns:
    """The runs of all rows.

    Attributes:
        tables: int8 (n, 256), those functions that are neither the score itself nor one number.
        runs: structured (rows * count,), a `tc_attention_run` each. count: of a row.
        seen: (rows,), how many scores are needed: behind them is a number.
        instructions: of all rows.
    """

    tables: Array
    runs: Array
    count: int
    seen: Array
    instructions: int

    @staticmethod
    def of(functions: Array, mask: Array) -> MaskRuns | None:
        """None where the mask has too many runs.

        Args:
            functions: int8 (n, 256), entries by a score's byte. mask: uint8 (rows, columns), which of them a score has.
        """
        stays: Array = np.all(functions == INT8_VALUES, axis=1)
        filled: Array = np.all(functions == functions[:, :1], axis=1)
        others: Array = ~(stays | filled)
        numbers = np.where(stays, STAYS, np.where(filled, FILLED, np.cumsum(others) - 1))
        rows, columns = mask.shape
        ends = [_ends(row) for row in mask.astype(np.int64)]
        count = max(map(len, ends))
        if count * _SHORTEST > columns and count > 2:
            return None
        lengths, which = np.zeros((2, rows, count), np.int64)
        for row, each in enumerate(ends):
            lengths[row, -len(each) :] = np.diff([0, *each])
            which[row, -len(each) :] = mask[row, [end - 1 for end in each]]
        kinds = np.where(lengths > 0, numbers[which], STAYS)
        seen: Array = columns - np.where(kinds[:, -1] == FILLED, lengths[:, -1], 0)
        costs = np.where(kinds == STAYS, 0, np.where(kinds == FILLED, _OF_FILL, _OF_LOOKUP))
        return MaskRuns(
            functions[others],
            structured(
                length=lengths.ravel().astype(np.uint16),
                function=kinds.ravel().astype(np.uint8),
                value=np.where(kinds == FILLED, functions[which, 0], 0).ravel().astype(np.int8),
            ),
            count,
            seen,
            round(rows * count * _OF_RUN + float(np.sum(lengths * costs))),
        )


def _ends(row: Array) -> list[int]:
    """Behind each run of equal numbers."""
    return [*map(int, np.flatnonzero(np.diff(row)) + 1), row.size]
