"""Weights apart from the code: the file `<model>_weights.bin` and what ties it to its code.

Little endian: magic, version, bytes after the header, their CRC-32, the graph (16 bytes: see `graph_of`); then every
constant array on a multiple of 8 bytes. The C struct in `<model>_weights.h` is the same layout.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from tinycompile.ir import Array

MAGIC = int.from_bytes(b"TCWB", "little")
VERSION = 1
HEADER_BYTES = 32
GRAPH_BYTES = 16

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


def padded(size: int) -> int:
    """The next multiple of 8."""
    return -(-size // 8) * 8


def crc32(arrays: Iterable[Array]) -> int:
    """Of arrays as they are in memory, one after the other."""
    crc = 0
    for array in arrays:
        crc = zlib.crc32(little_endian(array), crc)
    return crc


def little_endian(array: Array) -> bytes:
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()


def graph_of(model: str, files: Mapping[str, str]) -> bytes:
    """What identifies the code that weights fit: 16 bytes of SHA-256 of the C without comments and the model's name.

    Everything that depends on the weights and isn't in the file is in the code: how a layer requantises, channels that
    turned out to be constant. So weights that would need other code have another graph.
    """
    digest, own = hashlib.sha256(), re.compile(rf"(?<![A-Za-z0-9])({model}|{model.upper()})(?![A-Za-z0-9])")
    plain = {own.sub("MODEL", name): own.sub("MODEL", _COMMENT.sub(" ", text)) for name, text in files.items()}
    for name, text in sorted(plain.items()):
        digest.update(f"{name}\0{' '.join(text.split())}\0".encode())
    return digest.digest()[:GRAPH_BYTES]


def blob(arrays: Iterable[Array], graph: bytes) -> bytes:
    """The file."""
    parts = [little_endian(array) for array in arrays]
    content = b"".join(part.ljust(padded(len(part)), b"\0") for part in parts)
    return struct.pack("<4I16s", MAGIC, VERSION, len(content), zlib.crc32(content), graph) + content
