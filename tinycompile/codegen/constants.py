"""Constant arrays as C text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np

from tinycompile.ir import Array, TensorType

LINE_LENGTH = 116
"""Of the lines of a constant array, without their indentation."""


def c_float(value: np.floating[Any]) -> str:
    """A float32 literal that reads back as exactly this value, or a macro of math.h."""
    if np.isnan(value):
        return "NAN"
    if np.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    text = np.format_float_scientific(value, unique=True)
    return f"{text}f" if value.dtype == np.float32 else text


def needs_math(values: Array) -> bool:
    """Whether `c_values` of an array has macros of math.h."""
    return values.dtype.kind == "f" and not np.all(np.isfinite(values))


def c_scale(t: TensorType) -> str:
    """A tensor's scale as a float32 literal."""
    return c_float(np.float32(t.scale))


def c_scalar(value: np.generic) -> str:
    """One number as a C literal of its own type, free of warnings."""
    if isinstance(value, np.floating):
        return c_float(cast(np.floating[Any], value))
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
    if not values.dtype.names:
        return "".join(_lines(_c_numbers(values), " "))
    rows = (", ".join(_field(row[name]) for name in values.dtype.names) for row in values)
    items = [f"{{{row}}}" for row in rows]
    if len(values.dtype.names) > 2:
        return "".join(f"    {item},\n" for item in items)
    return "".join(_lines(",\n".join(items), "\n"))


def _c_numbers(values: Array) -> str:
    """`c_scalar` of each, with commas and spaces in between; most bytes of a file are weights, and plain `int` needs no
    suffix.
    """
    if values.dtype.kind == "i" and values.dtype.itemsize < 8 and not np.any(values == -(2**31)):
        return str(values.tolist())[1:-1]
    return ", ".join(c_scalar(value) for value in values)


def _lines(items: str, gap: str) -> Iterator[str]:
    """Items with commas in between, as many to a line as there is room for.

    Args:
        items: with a comma and `gap`, a character of no item, in between.
    """
    start = 0
    while len(items) - start > LINE_LENGTH:
        comma = items.rfind(f",{gap}", start, start + LINE_LENGTH + 1)
        if comma < 0:
            comma = items.find(f",{gap}", start)
        if comma < 0:
            break
        yield f"    {items[start:comma].replace(gap, ' ')},\n"
        start = comma + 2
    if items:
        yield f"    {items[start:].replace(gap, ' ')}\n"


def _field(value: np.generic | Array) -> str:
    if isinstance(value, np.ndarray):
        return "{" + ", ".join(c_scalar(item) for item in value) + "}"
    return c_scalar(value)


def repetitions(elements: Array) -> int:
    """How often an array repeats its beginning, at most."""
    sizes = (n for n in range(1, elements.size // 2 + 1) if elements.size % n == 0)
    return next((elements.size // n for n in sizes if np.array_equal(elements[n:], elements[:-n])), 1)
