"""Settings of a TOML file as the fields of a dataclass."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from typing import Any, cast

from tinycompile.errors import UsageError


def typed(of: type[Any], table: dict[str, Any], where: str, others: Collection[str] = ()) -> dict[str, Any]:
    """Values of a front end's fields, each of the type of its default; where that is a tuple, a number or a list of
    them.

    Args:
        others: fields that aren't read here.

    Raises:
        UsageError: there is no such field, or it has another type.
    """
    known = {each.name: each.default for each in fields(of)}
    found = dict[str, Any]()
    for key, value in table.items():
        if key not in known or key in others:
            raise UsageError(
                f"{key!r} is no setting of a front end", where=where, hint=f"there are: {', '.join(known)}"
            )
        like = 0 if known[key] is None else known[key]
        if isinstance(like, tuple):
            value = tuple(cast("list[Any]", value)) if isinstance(value, list) else (value,)
            fits = bool(value) and all(_fits(each, 0.0) for each in value)
        else:
            fits = _fits(value, like)
        if not fits:
            wanted = "number, or a list of numbers," if isinstance(like, tuple) else type(like).__name__
            raise UsageError(f"{key} is {table[key]!r}", where=where, why=f"a {wanted} is wanted")
        found[key] = value
    return found


def _fits(value: object, like: object) -> bool:
    """Whether it has the type, or is an integer where a float is wanted; no more than a float holds."""
    if isinstance(value, int) and abs(value) > MOST:
        return False
    return type(value) is type(like) or (type(value) is int and isinstance(like, float))


MOST = 1 << 53
"""Larger integers, which TOML has, are no settings."""
