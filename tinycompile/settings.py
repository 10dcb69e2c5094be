"""Settings of a TOML file as the fields of a dataclass; what callers from Python give, as the command line reads it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from numbers import Integral, Real
from pathlib import Path, PurePath
from typing import Any, cast, get_origin, get_type_hints

from tinycompile.choices import AUTO
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


MOST = 1 << 53
"""Larger integers, which TOML has, are no settings: no float holds them all."""


def _fits(value: object, kind: Any) -> bool:
    """Whether it has the type, or is an integer where a float is wanted."""
    if isinstance(value, bool) != (kind is bool) or (isinstance(value, int) and abs(value) > MOST):
        return False
    return isinstance(value, kind) or (kind is float and isinstance(value, int))


def whole(value: object) -> int:
    """A whole number, of Python or NumPy. Raises ValueError."""
    number = None if isinstance(value, bool) else value
    if isinstance(number, Integral):
        return int(number)
    if isinstance(number, Real) and float(number).is_integer():
        return int(float(number))
    raise ValueError(f"{value!r} is no whole number")


def size_of(value: object) -> int:
    """Bytes: 65536, "64K", "1M". Raises ValueError."""
    if isinstance(value, Real):
        size = whole(value)
    else:
        text, factor = str(value).strip().upper().removesuffix("B").removesuffix("I"), 1
        for suffix, power in (("K", 1 << 10), ("M", 1 << 20)):
            if text.endswith(suffix):
                text, factor = text[:-1], power
        try:
            size = int(text) * factor
        except ValueError:
            raise ValueError(f"{value!r} is not a size; write 65536, 64K or 1M") from None
    if size <= 0:
        raise ValueError("a size must be positive")
    return size


def offset_of(value: object) -> int:
    """Bytes, or none: 0, 32768, "0x8000", "32K". Raises ValueError."""
    try:
        found = whole(int(value, 0) if isinstance(value, str) else value)
    except ValueError:
        return size_of(value)
    if found < 0:
        raise ValueError("an offset must not be negative")
    return found


def size_or_auto(value: object) -> int | str:
    """Bytes, 0 for none, or "auto". Raises ValueError."""
    if isinstance(value, str) and value in (AUTO, "0"):
        return AUTO if value == AUTO else 0
    try:
        return whole(value) and size_of(value) if isinstance(value, Real) else size_of(value)
    except ValueError as error:
        raise ValueError(f"{error}; or auto, or 0 for none") from None


def real(value: object) -> float:
    """A number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise ValueError(f"{value!r} is no number")
    return float(value)


def flag(value: object) -> bool:
    """Of Python or NumPy. Raises ValueError."""
    if type(value).__name__ in ("bool", "bool_"):
        return bool(value)
    raise ValueError(f"{value!r} is neither True nor False")


def text_of(value: object) -> str:
    """A text, or a path. Raises ValueError."""
    if isinstance(value, str):
        return value
    if isinstance(value, PurePath):
        return str(value)
    raise ValueError(f"{value!r} is no text")


def path_of(value: object) -> Path:
    """Raises ValueError."""
    return Path(text_of(value))


def texts_of(value: object) -> tuple[str, ...]:
    """Several texts, or a single one. Raises ValueError."""
    if isinstance(value, str | PurePath):
        return (text_of(value),)
    if isinstance(value, Iterable):
        return tuple(text_of(each) for each in cast("Iterable[object]", value))
    raise ValueError(f"{value!r} is no list of texts")


def pairs_of(value: object, kind: Callable[[object], object]) -> tuple[tuple[str, Any], ...]:
    """What a mapping has by its names, each read as `kind`. Raises ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no mapping of names")
    return tuple((text_of(name), kind(each)) for name, each in cast("Mapping[object, object]", value).items())


def shape_of(value: object) -> tuple[int, ...]:
    """Sizes of at least 1. Raises ValueError."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{value!r} is no shape")
    shape = tuple(whole(size) for size in cast("Iterable[object]", value))
    if not shape or min(shape) < 1:
        raise ValueError(f"{value!r} is no shape")
    return shape


def read_options(given: Mapping[str, Any], kinds: Mapping[str, Callable[[object], object]]) -> dict[str, Any]:
    """What a caller from Python gives, as the command line would have read it; None stays, and what has no kind.

    Args:
        kinds: how an option is read, by its name: raises ValueError with what is wanted.

    Raises:
        UsageError: one isn't of its kind.
    """
    found = dict(given)
    for name, kind in kinds.items():
        value = given.get(name)
        if value is None:
            continue
        try:
            found[name] = kind(value)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from error
    return found


def _step_limit(value: object) -> str:
    return str(whole(value)) if isinstance(value, int) else text_of(value)


READERS: Mapping[str, Callable[[object], object]] = {
    **dict.fromkeys(("ram", "flash"), size_of),
    **dict.fromkeys(("fast_code", "fast_weights"), size_or_auto),
    "flash_offset": offset_of,
    **dict.fromkeys(("cores", "classes"), whole),
    "learning_rate": real,
    "steps": _step_limit,
    **dict.fromkeys(("board_path", "compatible_with", "parameters", "train_data"), path_of),
    **dict.fromkeys(("labels", "calib", "evaluation"), path_of),
    **dict.fromkeys(("train", "frontend", "camera", "crop", "slide", "signature", "export_gradient"), text_of),
    **dict.fromkeys(("updatable", "accumulate", "strict_int8", "compress_weights", "single_file", "pareto"), flag),
    **dict.fromkeys(("keep_tokens", "backend"), texts_of),
    "shapes": partial(pairs_of, kind=shape_of),
    "states": partial(pairs_of, kind=text_of),
}
"""How options of `tinycompile.options` are read that callers from Python give; the others are words of `choices`."""
