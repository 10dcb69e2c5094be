"""Flatbuffers by the schema's slots, without the `tflite` package's accessors: what they must agree with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tflite
from flatbuffers import number_types
from flatbuffers.table import Table

TABLES = {name: value for name, value in vars(tflite).items() if isinstance(value, type) and hasattr(value, "Init")}


@dataclass(frozen=True)
class Slot:
    """A field: its number, and its scalar type and default; no type for what is behind an offset."""

    number: int
    flags: type[Any] | None
    default: Any


class _Recorder:
    """Stands for a builder: remembers what a generated `<Table>Add<Field>` function would have written."""

    def __init__(self) -> None:
        self.slot: Slot | None = None
        self.size = 0

    def __getattr__(self, name: str) -> Any:
        kind = name.removeprefix("Prepend").removesuffix("Slot")
        if name == "StartObject":
            return lambda size: setattr(self, "size", size)
        if kind == "UOffsetTRelative":
            return lambda number, _value, _default: setattr(self, "slot", Slot(number, None, None))
        flags = getattr(number_types, f"{kind}Flags")
        return lambda number, _value, default: setattr(self, "slot", Slot(number, flags, default))


@cache
def slots_of(table: str) -> dict[str, Slot]:
    """Field name to slot."""
    found, prefix = dict[str, Slot](), f"{table}Add"
    for name, function in vars(tflite).items():
        if table and name.startswith(prefix):
            recorder = _Recorder()
            function(recorder, 0)
            if recorder.slot is not None:
                found[name.removeprefix(prefix)] = recorder.slot
    return found


@cache
def slot_count(table: str) -> int:
    """Of all fields of a table, deprecated ones included."""
    recorder = _Recorder()
    getattr(tflite, f"{table}Start")(recorder)
    return recorder.size


def raw(view: Table, slot: Slot) -> Any:
    """A scalar, or the position that an offset leads to; None without one."""
    at = view.Offset(4 + 2 * slot.number)
    if slot.flags is None:
        return view.Indirect(at + view.Pos) if at else None
    return view.Get(slot.flags, at + view.Pos) if at else slot.default


def differences(content: bytes) -> Iterator[tuple[str, str]]:
    """(table, field) wherever an accessor says something else than the bytes, in all tables of a file."""
    yield from _table(tflite.Model.GetRootAsModel(content, 0))


def _table(table: Any) -> Iterator[tuple[str, str]]:
    name = type(table).__name__
    for field, slot in slots_of(name).items():
        expected = raw(table._tab, slot)
        accessor = getattr(table, field)
        if hasattr(table, f"{field}Length"):
            yield from _vector(table, field, expected)
        elif slot.flags is not None:
            if accessor() != expected:
                yield name, field
        else:
            yield from _behind_an_offset(table, field, expected)


def _vector(table: Any, field: str, at: int | None) -> Iterator[tuple[str, str]]:
    name, length = type(table).__name__, getattr(table, f"{field}Length")()
    view: Table = table._tab
    if length != (0 if at is None else view.Get(number_types.UOffsetTFlags, at)):
        yield name, field
    elif hasattr(table, f"{field}AsNumpy"):
        values = getattr(table, f"{field}AsNumpy")() if at is not None else np.zeros(0, np.int8)
        if at is not None and bytes(view.Bytes[at + 4 : at + 4 + values.nbytes]) != values.tobytes():
            yield name, field
    else:
        for index in range(length):
            element = getattr(table, field)(index)
            place = (at or 0) + 4 + 4 * index
            if isinstance(element, bytes):
                continue
            if element._tab.Pos != view.Indirect(place):
                yield name, field
            yield from _table(element)


def _behind_an_offset(table: Any, field: str, at: int | None) -> Iterator[tuple[str, str]]:
    found, name, view = getattr(table, field)(), type(table).__name__, table._tab
    if at is None or found is None:
        if (at is None) != (found is None):
            yield name, field
    elif isinstance(found, bytes):
        if bytes(view.Bytes[at + 4 : at + 4 + len(found)]) != found or view.Get(number_types.UOffsetTFlags, at) != len(
            found
        ):
            yield name, field
    elif isinstance(found, Table):  # a union
        if found.Pos != at:
            yield name, field
        kind = getattr(table, f"{field}Type")()
        union = next(n for n, code in vars(getattr(tflite, field)).items() if code == kind and isinstance(code, int))
        if union in TABLES:
            member = TABLES[union]()
            member.Init(found.Bytes, found.Pos)
            yield from _table(member)
    elif found._tab.Pos != at:
        yield name, field
    else:
        yield from _table(found)
