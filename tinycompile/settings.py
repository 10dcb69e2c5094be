"""Settings of a TOML file as the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast, get_origin, get_type_hints

from tinycompile.errors import UsageError

_WANTED = {int: "a whole number", int | None: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_NUMBERS = "a number, or a list of numbers,"


def typed(of: type[Any], table: dict[str, Any], where: str, others: Collection[str] = ()) -> dict[str, Any]:
    """Values of a front end's fields, each of the field's type; where that is a tuple, a number or a list of them.

    Args:
        others: fields that aren't read here.

    Raises:
        UsageError: there is no such field, or it has another type.
    """
    kinds = {name: kind for name, kind in get_type_hints(of).items() if kind in _WANTED or get_origin(kind) is tuple}
    found = dict[str, Any]()
    for key, value in table.items():
        if key not in kinds or key in others:
            names = ", ".join((*kinds, *others))
            raise UsageError(f"{key!r} is no setting of a front end", where=where, hint=f"there are: {names}")
        kind = kinds[key]
        several = get_origin(kind) is tuple
        values = tuple(cast("list[Any]", value)) if several and isinstance(value, list) else (value,)
        if not values or not all(_fits(each, float if several else kind) for each in values):
            wanted = _NUMBERS if several else _WANTED[kind]
            raise UsageError(f"{key} is {value!r}", where=where, why=f"{wanted} is wanted")
        found[key] = values if several else value
    return found


def _fits(value: object, kind: Any) -> bool:
    """Whether it has the type, or is an integer where a float is wanted; no larger than floats hold exactly."""
    if isinstance(value, int) and abs(value) > MOST:
        return False
    return (isinstance(value, kind) or (kind is float and isinstance(value, int))) and isinstance(value, bool) == (
        kind is bool
    )


MOST = 1 << 53
"""Larger integers, which TOML has, are no settings."""
