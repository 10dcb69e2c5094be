"""Weights apart from the code: the file `<model>_weights.bin` and what ties it to its code.

Little endian. A header of 32 bytes: magic, version, bytes after the header, their CRC-32, the graph (16 bytes: see
`graph_of`). Then the numbers of inputs and of outputs, 16 bytes for each of them (`Edge.record`), and every constant
array on a multiple of 8 bytes. The C struct in `<model>_weights.h` is the same layout.
"""

from __future__ import annotations

import hashlib
import re
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tinycompile.codegen.interface import EDGE_BYTES, Edge
from tinycompile.ir import Array

MAGIC = int.from_bytes(b"TCWB", "little")
VERSION = 2
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


def graph_of(code: Mapping[str, str], meaning: str) -> bytes:
    """What identifies the code that weights fit: 16 bytes of SHA-256.

    Everything that depends on the weights and isn't in the file is in the code: how a layer requantises, channels that
    turned out to be constant. So weights that would need other code have another graph, and so have weights that give
    the caller's bytes another meaning.

    Args:
        code: the generated C by file name, of a program without names of its own (`Program.anonymous`). Comments and
            white space don't count.
        meaning: of inputs and outputs, by `interface.meaning`.
    """
    digest = hashlib.sha256()
    for name, text in sorted(code.items()):
        digest.update(f"{name}\0{' '.join(_COMMENT.sub(' ', text).split())}\0".encode())
    digest.update(meaning.encode())
    return digest.digest()[:GRAPH_BYTES]


def edge_table(edges: Sequence[Edge]) -> bytes:
    """What the file says of inputs and outputs: how many, and a record for each."""
    inputs = sum(edge.kind == "input" for edge in edges)
    return struct.pack("<2I", inputs, len(edges) - inputs) + b"".join(edge.record() for edge in edges)


def content_bytes(edges: int, sizes: Iterable[int]) -> int:
    """Of the file without its header, from the number of inputs and outputs and the bytes of each array."""
    return 8 + EDGE_BYTES * edges + sum(map(padded, sizes))


def blob(arrays: Iterable[Array], edges: Sequence[Edge], graph: bytes) -> bytes:
    """The file."""
    parts = [edge_table(edges), *(little_endian(array) for array in arrays)]
    content = b"".join(part.ljust(padded(len(part)), b"\0") for part in parts)
    return struct.pack("<4I16s", MAGIC, VERSION, len(content), zlib.crc32(content), graph) + content
