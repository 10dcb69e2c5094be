"""What an operator's attributes are, for people: of all parts of a layer that has several."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from math import isfinite
from typing import cast

from tinycompile.ir import Node, Op
from tinycompile.kernels.cover import part_nodes

LONGEST = 60
"""Characters of a value that are shown; tables are said by their lengths."""


def attributes(node: Node) -> dict[str, str]:
    """By name, without those that are None; names of a layer with several parts begin with the part."""
    parts = part_nodes(node)
    found = dict[str, str]()
    for number, part in enumerate(parts):
        prefix = f"{number + 1}. {part.op.title}: " if len(parts) > 1 else ""
        found |= {f"{prefix}{name}": text for name, text in _of(part.op)}
    return found


def _of(op: Op) -> Iterator[tuple[str, str]]:
    for field in fields(op) if is_dataclass(op) else ():
        text = _text(getattr(op, field.name))
        if text is not None:
            yield field.name.replace("_", " "), text


def _text(value: object) -> str | None:
    """None for what isn't given, and for what has no short form."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and not isfinite(value):
        return None  # a bound that is none
    if isinstance(value, int | float | str):
        return str(value)[:LONGEST]
    if isinstance(value, tuple):
        parts = [_text(part) for part in cast(tuple[object, ...], value)]
        if None not in parts and parts:
            text = ", ".join(str(part) for part in parts)
            return text if len(text) <= LONGEST else f"{len(parts)} values"
    return None
