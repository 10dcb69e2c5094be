"""The `tflite` package, generated from TFLite's schema, and what is used of flatbuffers below it.

Neither has type stubs, so what the checker can't know about them is said here, once.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Protocol, cast

import tflite  # pyright: ignore[reportMissingTypeStubs] - its classes are found, only their parameters have no types
from flatbuffers import number_types  # pyright: ignore[reportMissingTypeStubs] - likewise

__all__ = ["SIGNED_8", "SIGNED_32", "SIGNED_OFFSET", "VTABLE_OFFSET", "FlatTable", "root", "slots", "tflite"]

SIGNED_8: Any = number_types.Int8Flags
SIGNED_32: Any = number_types.Int32Flags
SIGNED_OFFSET: Any = number_types.SOffsetTFlags
VTABLE_OFFSET: Any = number_types.VOffsetTFlags
"""How `FlatTable.Get` reads a number."""


class FlatTable(Protocol):
    """What is used of `flatbuffers.table.Table`."""

    Bytes: bytes
    Pos: int

    def Offset(self, vtable_offset: int, /) -> int: ...  # noqa: N802 - flatbuffers' name

    def Get(self, flags: Any, position: int, /) -> int: ...  # noqa: N802 - flatbuffers' name


def root(content: bytes) -> Any:
    """The file's `Model`.

    Untyped, since the generated accessors are typed as if every table could be missing; who reads a file with them sees
    to those that are (`tflite_file.readable`).
    """
    return cast(Any, tflite.Model).GetRootAsModel(content, 0)


class _Size:
    """Stands for a builder where only a table's size is wanted."""

    def __init__(self) -> None:
        self.slots = 0

    def StartObject(self, slots: int) -> None:  # noqa: N802 - flatbuffers' name
        self.slots = slots


@cache
def slots(table: str) -> int:
    """How many fields the schema numbers in a table, deprecated ones included, which have no accessors."""
    size = _Size()
    getattr(cast(Any, tflite), f"{table}Start")(size)
    return size.slots
