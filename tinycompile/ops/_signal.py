"""What operators of audio front ends share: integers without scales, one signal after the other along the last axis."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.dtypes import INT16, INT32, UINT32, DType
from tinycompile.ir import Signature, TensorType
from tinycompile.numerics import fixed_fft
from tinycompile.ops._rules import first_reason, wrong_dtype

SPECTRA = (INT16, INT32)
"""Elements of transforms in fixed point."""


def wrong_types(types: Sequence[TensorType], roles: Sequence[str], dtypes: Sequence[DType]) -> str | None:
    """The first operand with elements that the operator doesn't take."""
    return first_reason(wrong_dtype(t, role, dtype) for t, role, dtype in zip(types, roles, dtypes, strict=True))


def check_vectors(types: Sequence[TensorType], *sizes: int | None) -> None:
    """Each has one axis, and so many elements where that is said. Raises ValueError."""
    for t, size in zip(types, sizes, strict=True):
        if len(t.shape) != 1 or (size is not None and t.shape[0] != size):
            raise ValueError(f"{t}, where {'a vector' if size is None else f'{size} elements'} are wanted")


def check_transform(length: int) -> int:
    """The points of a real transform; returns those of the complex one inside it. Raises ValueError."""
    if length % 2 or not 4 <= length <= fixed_fft.LARGEST_LENGTH:
        raise ValueError(f"a transform of {length} points, possible are even numbers from 4 on")
    fixed_fft.factors(length // 2)
    return length // 2


def check_range(value: int, what: str, least: int, most: int) -> None:
    """Raises ValueError."""
    if not least <= value <= most:
        raise ValueError(f"{what} is {value}, possible are {least} to {most}")


def channels_of(sig: Signature, *, dtype: DType = UINT32) -> str | None:
    """Why channels aren't numbers of this type."""
    return wrong_dtype(sig.input, "the input", dtype)
