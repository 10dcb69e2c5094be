"""An operator's options table: every field is read, or has its default.

A field that no importer reads and that isn't at its default would change the operator's meaning behind our back.
"""

from __future__ import annotations

import re
from typing import Any

from tinycompile.frontend.tflite_file import SourceOperator, readable
from tinycompile.frontend.tflite_schema import SIGNED_OFFSET, VTABLE_OFFSET, FlatTable, slots, tflite

_EMPTY_TABLE = b"\x04\x00\x04\x00\x04\x00\x00\x00"
"""A flatbuffer table without fields: a vtable of 4 bytes, then the table at position 4."""

OPTIONS_NAMES = {code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int)}

Field = int | float | bool | tuple[int, ...]


def fields_of(table: type[Any]) -> list[str]:
    """The fields of a generated table class in the order of the schema's slots.

    A vector field X also has XAsNumpy, XLength and XIsNone.
    """
    methods = [name for name, value in vars(table).items() if callable(value) and not name.startswith("_")]
    own = [name for name in methods if name != "Init"]
    derived = {f"{name}{suffix}" for name in own for suffix in ("AsNumpy", "Length", "IsNone")}
    return [name for name in own if name not in derived]


def schema_name(field: str) -> str:
    """FusedActivationFunction as the schema spells it: fused_activation_function."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", field).lower()


class OptionTable:
    """Values of an operator's options by field name; the schema's defaults hold for what the file leaves out.

    Attributes:
        unread: the fields that nobody asked for yet.
        mismatch: whose options the file has instead, if it does.
    """

    def __init__(self, operator: SourceOperator, table: type[Any] | None, where: str) -> None:
        """`table`: of the operator by the schema; None if it has no options."""
        self._where, self.unread = where, [] if table is None else fields_of(table)
        self._known = 0 if table is None else slots(table.__name__)
        self._file, self._defaults = self._view(operator.options, table), self._view(None, table)
        self._raw = operator.options
        found = OPTIONS_NAMES.get(operator.options_type, f"number {operator.options_type}")
        self._ours = table is not None and found == table.__name__
        self.mismatch = ""
        if table is not None and self.unread and operator.options is not None and not self._ours:
            # LiteRT doesn't read them, and what it takes instead isn't always the schema's default.
            self.mismatch = f"its options are {found} instead of {table.__name__}"

    def _view(self, at: FlatTable | None, table: type[Any] | None) -> Any:
        if table is None:
            return None
        view = table()
        with readable(self._where):
            if at is None:
                view.Init(_EMPTY_TABLE, 4)
            else:
                view.Init(at.Bytes, at.Pos)
        return view

    def read(self, field: str) -> Field:
        if field in self.unread:
            self.unread.remove(field)
        return self._value(self._file, field)

    def _value(self, view: Any, field: str) -> Field:
        with readable(self._where):
            if not hasattr(view, f"{field}AsNumpy"):
                return getattr(view, field)()
            vector: Any = getattr(view, f"{field}AsNumpy")()  # 0 where the file has none
            return tuple(vector.tolist()) if hasattr(vector, "tolist") else ()

    def objection(self) -> str | None:
        """What the file says beyond what was read, if that might mean something."""
        for field in self.unread:
            value, default = self._value(self._file, field), self._value(self._defaults, field)
            if value != default:
                return f"its option {schema_name(field)} is {value}, supported is {default}"
        newer = self._newer()
        if newer is not None:
            return f"its options have the field number {newer}, which is newer than the schema that is read here"
        return None

    def _newer(self) -> int | None:
        """The first field behind those that we know."""
        if self._raw is None or not self._ours:
            return None
        with readable(self._where):
            return first_field_from(self._raw, self._known)


def first_field_from(table: FlatTable, known: int) -> int | None:
    """The number of the first field that is there and isn't one of the first `known` ones."""
    vtable = table.Pos - table.Get(SIGNED_OFFSET, table.Pos)
    count = (table.Get(VTABLE_OFFSET, vtable) - 4) // 2
    return next((slot for slot in range(known, count) if table.Offset(4 + 2 * slot)), None)
