"""Constant arrays as C text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

import numpy as np

from tinycompile.ir import Array, TensorType


def c_float(value: np.floating) -> str:
    """A float32 literal that reads back as exactly this value."""
    if not np.isfinite(value):
        raise ValueError("C has no literal for a value that isn't finite")
    text = np.format_float_scientific(value, unique=True)
    return f"{text}f" if value.dtype == np.float32 else text


def c_scale(t: TensorType) -> str:
    """A tensor's scale as a float32 literal."""
    return c_float(np.float32(t.scale))


def c_scalar(value: np.generic) -> str:
    """One number as a C literal of its own type, free of warnings."""
    if isinstance(value, np.floating):
        return c_float(value)
    number = int(value)
    if value.dtype.kind == "u":
        return f"{number}{'ull' if value.dtype.itemsize == 8 else 'u'}"
    if value.dtype.itemsize == 8:
        return "(-9223372036854775807ll - 1)" if number == -(2**63) else f"{number}ll"
    return c_integer(number) if number == -(2**31) else str(number)


def c_integer(value: int) -> str:
    """A 32-bit constant that can stand anywhere in an expression."""
    if value == -(2**31):
        return "(-2147483647 - 1)"
    return f"({value})" if value < 0 else str(value)


def c_values(values: Array) -> str:
    """The initialiser's lines, indented, for a one-dimensional array of numbers or of structs."""
    items: Iterable[str]
    if values.dtype.names:
        rows = (", ".join(_field(row[name]) for name in values.dtype.names) for row in values)
        items = (f"{{{row}}}" for row in rows)
        if len(values.dtype.names) > 2:
            return "".join(f"    {item},\n" for item in items)
    else:
        items = (c_scalar(value) for value in values)
    text = ", ".join(items)
    lines = textwrap.wrap(text, width=116, break_long_words=False, break_on_hyphens=False)
    return "".join(f"    {line}\n" for line in lines)


def _field(value: np.generic | Array) -> str:
    if isinstance(value, np.ndarray):
        return "{" + ", ".join(c_scalar(item) for item in value) + "}"
    return c_scalar(value)
