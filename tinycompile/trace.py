"""What a build with TC_TRACE reports: every layer's result, whole or in parts as they are made."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array


@dataclass(frozen=True, eq=False)
class TracePart:
    """What one call of the trace reports.

    Attributes:
        data: a tensor; or where `columns` isn't 0 the part of it that begins at (row, column) and has so many columns.
            Of a part, rows and columns outside the tensor mean nothing. No bytes say only whose instructions it were.
        instructions: since the part before; 0 where they aren't counted.
    """

    layer: int
    data: bytes
    row: int = 0
    column: int = 0
    columns: int = 0
    instructions: int = 0


@dataclass(frozen=True, eq=False)
class TraceRecord:
    """One tensor that a layer computed during one inference, of one part or many, which may overlap."""

    layer: int
    parts: tuple[TracePart, ...]
    instructions: int

    def against(self, expected: Array) -> tuple[Array, Array]:
        """What was computed, beside what is expected.

        Args:
            expected: of the tensor's shape and type.

        Returns:
            (values, which of them were reported). Where parts overlap and differ, a value that isn't the expected one.

        Raises:
            ToolFailedError: a part has another size.
        """
        shape = expected.shape
        if len(shape) == 3:  # a sequence, whose parts have a column
            expected = expected[:, :, None]
        got, known = np.zeros_like(expected), np.zeros(expected.shape, bool)
        for part in self.parts:
            mine, theirs, values = self._placed(part, expected)
            other = ~known[mine] | (values[theirs].view(_bits(got)) != expected[mine].view(_bits(got)))
            got[mine] = np.where(other, values[theirs], got[mine])
            known[mine] = True
        return got.reshape(shape), known.reshape(shape)

    def _placed(self, part: TracePart, expected: Array) -> tuple[Any, Any, Array]:
        """(where in the tensor, where in the part, the part's values)."""
        values = np.frombuffer(part.data, expected.dtype)
        if not part.columns:
            _check(part, values.size, expected.size)
            return ..., ..., values.reshape(expected.shape)
        _, height, width, channels = expected.shape
        _check(part, values.size % (part.columns * channels), 0)
        values = values.reshape(1, -1, part.columns, channels)
        rows = slice(max(0, part.row), min(height, part.row + values.shape[1]))
        columns = slice(max(0, part.column), min(width, part.column + part.columns))
        own = (
            slice(None),
            slice(rows.start - part.row, rows.stop - part.row),
            slice(columns.start - part.column, columns.stop - part.column),
        )
        return (slice(None), rows, columns), own, values


def _bits(array: Array) -> str:
    return f"u{array.dtype.itemsize}"


def _check(part: TracePart, found: int, wanted: int) -> None:
    if found != wanted:
        raise ToolFailedError("the trace of a tensor has another size", where=f"layer {part.layer}")


def records(parts: Iterable[TracePart]) -> list[TraceRecord]:
    """The tensors of one inference, in the order of the layers; of a layer with several results, in their order."""
    found, counts = dict[int, list[list[TracePart]]](), dict[int, int]()
    for part in parts:
        of_layer = found.setdefault(part.layer, [])
        counts[part.layer] = counts.get(part.layer, 0) + part.instructions
        if part.columns and of_layer:
            of_layer[0].append(part)
        elif part.data:
            of_layer.append([part])
    return [
        TraceRecord(layer, tuple(of_tensor), counts[layer] if index == 0 else 0)
        for layer in sorted(found)
        for index, of_tensor in enumerate(found[layer])
    ]
