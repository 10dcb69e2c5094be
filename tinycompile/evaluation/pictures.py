"""Samples as pictures: small PNG files inside of report.json."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from tinycompile.ir import Array, TensorType

LARGEST = 96
"""Pixels of a side; of a larger picture every second, third ... one is shown."""


def image_axes(t: TensorType, layout: str) -> tuple[int, int, int | None] | None:
    """The axes of (rows, columns, channels) of an input that is an image of 1 or 3 channels, else None. The last one is
    None where a single channel has no axis.

    Args:
        layout: "NHWC", or "model", where channels may be first.
    """
    shape = t.shape
    if len(shape) == 4 and shape[0] == 1:
        if shape[3] in (1, 3) and min(shape[1:3]) > 1:
            return 1, 2, 3
        if layout != "NHWC" and shape[1] in (1, 3) and min(shape[2:]) > 1:
            return 2, 3, 1
    if len(shape) == 3 and shape[0] == 1 and min(shape[1:]) > 1:
        return 1, 2, None
    return None


def picture(sample: Array, t: TensorType, axes: tuple[int, int, int | None]) -> str:
    """A PNG as base64: 8 bits as they are, numbers of more bits between their smallest and largest.

    Args:
        sample: as the firmware takes it, of shape `t.shape`.
    """
    rows, columns, channels = axes
    order = (rows, columns) if channels is None else (rows, columns, channels)
    others = tuple(axis for axis in range(sample.ndim) if axis not in order)
    values = sample.transpose(*order, *others).reshape(*(sample.shape[axis] for axis in order)).astype(np.float64)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    stride = -(-max(values.shape[:2]) // LARGEST)
    values = values[::stride, ::stride]
    low, high = t.dtype.range if t.dtype.bits == 8 else (values.min(), values.max())
    scaled = (values - low) * (255 / max(high - low, 1e-30))
    return base64.b64encode(png(np.nan_to_num(scaled).round().clip(0, 255).astype(np.uint8))).decode()


def png(pixels: Array) -> bytes:
    """A PNG file of (rows, columns) grey or (rows, columns, 3) colours, of 8 bits.

    By ISO/IEC 15948, without interlacing and with filter 0.
    """
    rows, columns = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", columns, rows, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
