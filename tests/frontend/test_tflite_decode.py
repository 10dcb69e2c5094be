"""Constants behind TFLM's DECODE operators."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_builder import NO_TENSOR, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph

NO_AXIS = 15


def compressed(values: np.ndarray, axis: int, bits: int) -> tuple[bytes, bytes]:
    """(indices, header and tables), as tflite-micro's compress.py writes them."""
    slices = [values] if axis == NO_AXIS else list(np.moveaxis(values, axis, 0))
    tables = [np.unique(part) for part in slices]
    stride = max(map(len, tables))
    parts = [np.searchsorted(table, part) for table, part in zip(tables, slices, strict=True)]
    indices = parts[0] if axis == NO_AXIS else np.moveaxis(np.stack(parts), 0, axis)
    header = bytes([0, 1, 0, 0, 1, axis << 4 | bits, stride, *bytes(9)])
    padded = b"".join(np.pad(table, (0, stride - len(table))).tobytes() for table in tables)
    stream = (indices.reshape(-1, 1) >> np.arange(bits)[::-1]) & 1
    return np.packbits(stream.astype(np.uint8)).tobytes(), header + padded


def model(values: np.ndarray, indices: bytes, ancillary: bytes) -> bytes:
    """A DEPTHWISE_CONV_2D whose weights are decoded, and keep their scales where they are compressed, too."""
    b, channels = TfliteBuilder(), values.shape[-1]
    scales = np.linspace(0.01, 0.02, channels)
    x, y = b.tensor((1, 5, 5, channels), 0.1), b.tensor((1, 3, 3, channels), 0.5)
    encoded = b.tensor((len(indices),), scales, dtype="uint8", axis=3, data=indices)
    tables = b.tensor((len(ancillary),), dtype="uint8", data=ancillary)
    weights = b.tensor(values.shape, scales, axis=3, name="weights")
    b.custom("TFLM_DECODE", [encoded, tables], [weights], {})
    b.op("DEPTHWISE_CONV_2D", [x, weights, NO_TENSOR], [y], Padding=1, StrideH=1, StrideW=1, DepthMultiplier=1)
    return b.build([x], [y])


def loaded(content: bytes) -> Graph:
    return import_tflite(content, "model", "model.tflite")


VALUES = np.random.default_rng(0).integers(-8, 8, (1, 3, 3, 5)).astype(np.int8) * np.int8(5)


@pytest.mark.parametrize(("axis", "bits"), [(NO_AXIS, 4), (NO_AXIS, 7), (3, 4), (1, 4), (0, 5)])
def test_weights_are_what_they_stand_for(axis: int, bits: int) -> None:
    graph = loaded(model(VALUES, *compressed(VALUES, axis, bits)))
    (node,) = graph.nodes
    assert np.array_equal(graph.constants[node.inputs[1]].reshape(VALUES.shape), VALUES)
    assert any("1 constants of the file are compressed" in note for note in graph.notes)


def changed(place: int, value: int) -> tuple[bytes, bytes]:
    indices, ancillary = compressed(VALUES, 3, 4)
    return indices, ancillary[:place] + bytes([value]) + ancillary[place + 1 :]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (changed(0, 1), "is compressed as Huffman codes"),
        (changed(0, 200), "is compressed as type 200"),
        (changed(1, 2), "version 2.1, supported is 1.1"),
        (changed(5, 4), "bytes of tables, 1 of"),
        (changed(5, 5 << 4 | 4), "along axis 5 of the shape"),
        (changed(5, 3 << 4), "fewer indices than elements"),
        (changed(6, 3), "bytes of tables, 5 of 3 int8"),
        ((changed(0, 0)[0][:4], changed(0, 0)[1]), "fewer indices than elements"),
        ((b"\xff" * 23, changed(0, 0)[1]), "has the index 15 into tables of"),
        ((changed(0, 0)[0], b"\0" * 8), "a header has 16"),
    ],
)
def test_what_is_not_read_is_named(parts: tuple[bytes, bytes], message: str) -> None:
    with pytest.raises(UnsupportedError, match=message):
        loaded(model(VALUES, *parts))


def test_operands_that_do_not_fit_are_the_files_fault() -> None:
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), 0.1), b.tensor((1, 4), 0.1)
    b.custom("TFLM_DECODE", [x], [y], {})
    with pytest.raises(ModelFileError, match="1 operands for 1 results"):
        loaded(b.build([x], [y]))
    b.ops[0].inputs = [x, 99]
    with pytest.raises(ModelFileError, match="refers to tensor 99 of 2"):
        loaded(b.build([x], [y]))
