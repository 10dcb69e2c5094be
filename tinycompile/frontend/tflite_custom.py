"""Options of custom operators, which are maps in flexbuffers, not tables of the schema."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, cast

from flatbuffers import flexbuffers  # pyright: ignore[reportMissingTypeStubs] - it has none

from tinycompile.frontend.tflite_scope import Rejected, Scope

MOST_OPTIONS = 64
"""A map claims how many it has."""

_STUMBLES = (struct.error, ValueError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError)
"""What a damaged buffer makes the package raise."""

Number = int | float | bool


class CustomOptions:
    """The options of a custom operator by name; those of which the importer asks for none are refused."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        try:
            self._values = _read(scope.operator.custom_options)
        except _STUMBLES as error:
            raise scope.fail("its options are no flexbuffer with a map of numbers") from error
        self._unread = {name for name in self._values if not name.startswith("_")}

    def integer(self, name: str, default: int | None = None) -> int:
        value = self._value(name, default)
        if isinstance(value, float) and not value.is_integer():
            raise self._scope.fail(f"its option {name} is {value}")
        return int(value)

    def real(self, name: str) -> float:
        return float(self._value(name, None))

    def flag(self, name: str) -> bool:
        return bool(self._value(name, False))

    def reject_unread(self) -> None:
        """Whatever the importer didn't ask for might mean something."""
        if self._unread:
            raise Rejected(f"its option {min(self._unread)} is unknown")

    def _value(self, name: str, default: Number | None) -> Number:
        self._unread.discard(name)
        found = self._values.get(name, default)
        if found is None:
            raise self._scope.fail(f"its option {name} is missing")
        return found


def _read(content: bytes) -> Mapping[str, Number]:
    """Numbers by name. Raises several kinds of errors where it is anything else."""
    package: Any = flexbuffers
    found: Any = package.GetRoot(content).AsMap
    keys, values = found.Keys, found.Values
    if len(keys) > MOST_OPTIONS:
        raise ValueError(f"{len(keys)} options")
    return {cast(str, keys[i].AsKey): _number(values[i]) for i in range(len(keys))}


def _number(value: Any) -> Number:
    if not value.IsNumeric and not value.IsBool:
        raise ValueError("a value that is no number")
    if value.IsBool:
        return bool(value.AsBool)
    return float(value.AsFloat) if value.IsFloat else int(value.AsInt)
