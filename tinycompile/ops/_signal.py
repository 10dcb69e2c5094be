"""What operators of audio front ends share: integers without scales, one signal after the other along the last axis."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.dtypes import FLOAT32, INT16, INT32, UINT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics import fixed_fft
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import first_reason, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed

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


class Unscaled(Typed):
    """An operator whose integers have no scale, beside its floats."""

    def plain_meanings(self) -> Meanings:
        return {dtype: meaning for dtype, meaning in self.meanings().items() if dtype != FLOAT32}

    def unscaled(self, sig: Signature) -> str | None:
        return None


@dataclass(frozen=True)
class Transform(Unscaled):
    """A real Fourier transform: int16 and int32 in kissfft's fixed point, and float32.

    Attributes:
        length: even, half of it a product of 2, 3 and 5.
    """

    length: int

    def meanings(self) -> Meanings:
        fixed = Meaning(self._fixed, lambda _: None)
        return {INT16: fixed, INT32: fixed, FLOAT32: real.meaning(self._real)}

    @abstractmethod
    def _fixed(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]: ...

    @abstractmethod
    def _real(self, x: Array) -> Array: ...
