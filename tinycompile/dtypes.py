"""Element types of tensors: what a number is, how NumPy holds it, and how it lies in a buffer.

A type is one of the constants of this module and is compared with them, never with a name: `t.dtype == INT8`. Names are
for what is read and written: files, JSON, messages.

Several elements of fewer than 8 bits share a byte, the first one in the lowest bits, as in TFLite and ONNX. An
element of NumPy has at least a byte, which is its `carrier`; `pack` and `unpack` go from one form to the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class DType:
    """An element type.

    Attributes:
        name: as NumPy and ONNX call it.
        bits: of one element in a buffer; a power of two.
        ctype: the C type of a buffer: of an element, or of the bytes that elements of fewer than 8 bits share.
        carrier: the NumPy dtype of constants and of values in the interpreter; wide enough for every element.
    """

    name: str
    bits: int
    ctype: str
    carrier: np.dtype[Any]

    @staticmethod
    def find(name: str | np.dtype[Any]) -> DType | None:
        """The type that has this name, or the name of this NumPy dtype; None where there is none."""
        return _BY_NAME.get(name if isinstance(name, str) else name.name)

    @staticmethod
    def of(name: str | np.dtype[Any]) -> DType:
        """As `find`. Raises ValueError where there is none."""
        found = DType.find(name)
        if found is None:
            raise ValueError(f"{name} is no element type; there are {', '.join(_BY_NAME)}")
        return found

    @property
    def is_float(self) -> bool:
        return self.carrier.kind in "fV"  # of its own types ml_dtypes says that they are void

    @property
    def is_integer(self) -> bool:
        """Signed or unsigned; a bool is no integer."""
        return self.carrier.kind in "iu"

    @property
    def is_signed(self) -> bool:
        return self.carrier.kind in "ifV"

    @property
    def is_sub_byte(self) -> bool:
        """Elements share bytes, and have no address of their own."""
        return self.bits < 8

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value of an integer type. Raises ValueError for the others."""
        if not self.is_integer:
            raise ValueError(f"{self} has no range of integers")
        return (-(1 << self.bits - 1), (1 << self.bits - 1) - 1) if self.is_signed else (0, (1 << self.bits) - 1)

    @property
    def item_bytes(self) -> int:
        """Bytes of one element. Raises ValueError where elements share a byte."""
        if self.is_sub_byte:
            raise ValueError(f"{8 // self.bits} elements of {self} share a byte")
        return self.bits // 8

    def bytes_for(self, elements: int) -> int:
        """Bytes of a buffer with so many elements; the last byte may not be full."""
        return -(-elements * self.bits // 8)

    def mismatch(self, values: Array) -> str | None:
        """Why an array doesn't hold elements of this type, in words: it isn't of the carrier, or out of range."""
        if values.dtype != self.carrier:
            return f"{values.dtype.name} values, {self} is held in {self.carrier.name}"
        if not self.is_sub_byte or self.is_float or values.size == 0:
            return None
        (low, high), least, most = self.range, int(values.min()), int(values.max())
        return None if low <= least and most <= high else f"values from {least} to {most}, {self} has {low} to {high}"

    def pack(self, values: Array) -> NDArray[np.uint8]:
        """The bytes of a buffer, little-endian, shape (bytes_for(values.size),).

        Args:
            values: of the carrier, any shape; taken in row-major order, without padding between the rows.

        Raises:
            ValueError: they aren't elements of this type.
        """
        wrong = self.mismatch(values)
        if wrong is not None:
            raise ValueError(wrong)
        if not self.is_sub_byte:
            return np.frombuffer(values.astype(self.carrier.newbyteorder("<")).tobytes(), np.uint8)
        share = 8 // self.bits
        fields = np.zeros(self.bytes_for(values.size) * share, np.uint8)
        fields[: values.size] = values.ravel().view(np.uint8) & ((1 << self.bits) - 1)
        return np.bitwise_or.reduce(fields.reshape(-1, share) << self._shifts, axis=1)

    def unpack(self, data: bytes | NDArray[np.uint8], elements: int) -> Array:
        """The inverse of `pack`: a new array of the carrier, shape (..., elements).

        Args:
            data: the bytes of one buffer, or of several, shape (..., bytes_for(elements)).

        Raises:
            ValueError: a buffer has another size.
        """
        packed = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
        if packed.shape[-1] != self.bytes_for(elements):
            raise ValueError(f"{packed.shape[-1]} bytes, {elements} elements of {self} have {self.bytes_for(elements)}")
        if not self.is_sub_byte:
            stored = np.ascontiguousarray(packed).view(self.carrier.newbyteorder("<"))
            return stored.astype(self.carrier)
        fields = (packed[..., None] >> self._shifts) & np.uint8((1 << self.bits) - 1)
        bits = fields.reshape(*packed.shape[:-1], -1)[..., :elements]
        if self.is_float:
            return np.ascontiguousarray(bits).view(self.carrier)
        values = bits.astype(self.carrier)
        sign = self.carrier.type(1 << self.bits - 1 if self.is_signed else 0)
        return (values ^ sign) - sign

    def c_elements(self, values: Array) -> Array:
        """What a C array of `ctype` has, shape (n,): the numbers themselves, or bytes that they share, or their bits.

        Args, Raises: as `pack`.
        """
        ctype = {"float": "float32", "double": "float64"}.get(self.ctype, self.ctype.removesuffix("_t"))
        return self.pack(values).view(np.dtype(ctype).newbyteorder("<"))

    @property
    def _shifts(self) -> NDArray[np.uint8]:
        """Where in a byte the elements that share it begin."""
        return np.arange(0, 8, self.bits, dtype=np.uint8)

    def __str__(self) -> str:
        return self.name


def _integer(name: str, bits: int) -> DType:
    """An integer whose name and C type follow NumPy's and <stdint.h>'s rule."""
    carrier = np.dtype(f"{name.rstrip('0123456789')}{max(bits, 8)}")
    return DType(name, bits, f"{name}_t" if bits >= 8 else "uint8_t", carrier)


INT2 = _integer("int2", 2)
UINT2 = _integer("uint2", 2)
INT4 = _integer("int4", 4)
UINT4 = _integer("uint4", 4)
INT8 = _integer("int8", 8)
UINT8 = _integer("uint8", 8)
INT16 = _integer("int16", 16)
UINT16 = _integer("uint16", 16)
INT32 = _integer("int32", 32)
UINT32 = _integer("uint32", 32)
INT64 = _integer("int64", 64)
UINT64 = _integer("uint64", 64)
BOOL = DType("bool", 8, "uint8_t", np.dtype(np.bool_))
"""A byte that is 0 or 1."""
FLOAT16 = DType("float16", 16, "uint16_t", np.dtype(np.float16))
"""For storage: C99 has no such type, so that a buffer has the bits of the numbers."""
BFLOAT16 = DType("bfloat16", 16, "uint16_t", np.dtype(ml_dtypes.bfloat16))
"""For storage: the upper half of a float32."""
FLOAT32 = DType("float32", 32, "float", np.dtype(np.float32))
FLOAT64 = DType("float64", 64, "double", np.dtype(np.float64))
SMALL_FLOATS = tuple(
    DType(np.dtype(carrier).name, bits, "uint8_t", np.dtype(carrier))
    for carrier, bits in (
        (ml_dtypes.float8_e4m3fn, 8),
        (ml_dtypes.float8_e4m3fnuz, 8),
        (ml_dtypes.float8_e5m2, 8),
        (ml_dtypes.float8_e5m2fnuz, 8),
        (ml_dtypes.float8_e8m0fnu, 8),
        (ml_dtypes.float4_e2m1fn, 4),
    )
)
"""For storage: the formats of 8 and 4 bits that ONNX has."""

_BY_NAME: Mapping[str, DType] = {
    dtype.name: dtype
    for dtype in (
        *(INT2, UINT2, INT4, UINT4, INT8, UINT8, INT16, UINT16, INT32, UINT32, INT64, UINT64),
        *(BOOL, FLOAT16, BFLOAT16, FLOAT32, FLOAT64),
        *SMALL_FLOATS,
    )
}
