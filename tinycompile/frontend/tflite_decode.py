"""Constants that TFLM's compression tool has put behind DECODE operators, as what they stand for.

A weight tensor with few different values is written as indices of 1 to 7 bits into tables of values, one table for all
or one for every channel (tensorflow/lite/micro/compression of tflite-micro: decode.py and lut.py give the layout).
"""

from __future__ import annotations

from math import prod

import numpy as np

from tinycompile.dtypes import DType
from tinycompile.ir import Array

DECODE = "CUSTOM TFLM_DECODE"
"""Operands: for each result what is encoded and how; the latter, "ancillary data", begins with 16 bytes of header."""

_HEADER, _TYPE, _VERSION, _LAYOUT_VERSION, _LAYOUT, _STRIDE = 16, 0, 1, 4, 5, 6
"""The header's size, and the bytes in it."""

_TABLES = 0
_TYPES = {1: "Huffman codes", 2: "pruned values"}
_NO_AXIS = 15
"""One table for all channels."""


def decoded(encoded: bytes | None, ancillary: bytes | None, shape: tuple[int, ...], dtype: DType) -> bytes | str:
    """The constant's bytes; in words why it can't be read, behind "its value"."""
    if encoded is None or ancillary is None:
        return "is decoded from what isn't constant"
    if len(ancillary) < _HEADER:
        return f"is decoded by {len(ancillary)} bytes, a header has {_HEADER}"
    kind = ancillary[_TYPE]
    if kind != _TABLES:
        return f"is compressed as {_TYPES.get(kind, f'type {kind}')}, tables of values are supported"
    if (ancillary[_VERSION], ancillary[_LAYOUT_VERSION]) != (1, 1):
        return f"is compressed in version {ancillary[_VERSION]}.{ancillary[_LAYOUT_VERSION]}, supported is 1.1"
    if dtype.bits % 8:
        return f"is compressed, and of the type {dtype}"
    bits, axis = ancillary[_LAYOUT] & 7, ancillary[_LAYOUT] >> 4
    values = np.frombuffer(ancillary[_HEADER:], np.uint8)
    return _looked_up(_indices(encoded, bits, prod(shape)), values, ancillary[_STRIDE], axis, shape, dtype)


def _indices(encoded: bytes, bits: int, count: int) -> Array | None:
    """`count` numbers of so many bits, the most significant bit first; None where there aren't as many."""
    stream = np.unpackbits(np.frombuffer(encoded, np.uint8))
    if not bits or stream.size < count * bits:
        return None
    weights = 1 << np.arange(bits)[::-1]
    return stream[: count * bits].reshape(count, bits) @ weights


def _looked_up(
    indices: Array | None, values: Array, stride: int, axis: int, shape: tuple[int, ...], dtype: DType
) -> bytes | str:
    """`values`: the tables' bytes, `stride` elements each, one for every index along the axis."""
    if indices is None:
        return "has fewer indices than elements"
    if axis != _NO_AXIS and axis >= len(shape):
        return f"is compressed along axis {axis} of the shape {list(shape)}"
    channels = 1 if axis == _NO_AXIS else shape[axis]
    if values.size != channels * stride * dtype.bytes_for(1):
        # An older tool wrote 0 for the axis and meant the one of the scales: there are other numbers of tables then.
        return f"is compressed with {values.size} bytes of tables, {channels} of {stride} {dtype} are expected"
    if indices.size and indices.max() >= stride:
        return f"has the index {indices.max()} into tables of {stride}"
    tables = values.reshape(channels, stride, dtype.bytes_for(1))
    channel = 0 if axis == _NO_AXIS else np.indices(shape, sparse=True)[axis]
    return tables[np.broadcast_to(channel, shape), indices.reshape(shape)].tobytes()
