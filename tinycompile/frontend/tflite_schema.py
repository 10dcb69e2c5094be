"""The `tflite` package, generated from TFLite's schema, and what is used of flatbuffers below it.

Neither has type stubs, so what the checker can't know about them is said here, once.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import tflite  # pyright: ignore[reportMissingTypeStubs] - its classes are found, only their parameters have no types
from flatbuffers import number_types  # pyright: ignore[reportMissingTypeStubs] - likewise

__all__ = ["SIGNED_8", "SIGNED_32", "SIGNED_OFFSET", "VTABLE_OFFSET", "FlatTable", "root", "tflite"]

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
