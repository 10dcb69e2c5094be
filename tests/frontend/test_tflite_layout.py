"""`--layout nhwc` of files from PyTorch, whose edges have channels first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.tflite_builder import SAME, TfliteBuilder
from tinycompile import interpreter
from tinycompile.errors import UsageError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_layout import channels_last
from tinycompile.ir import verify
from tinycompile.verify.compare import verify_build

FIRST, LAST = (0, 3, 1, 2), (0, 2, 3, 1)


class Edged:
    """A convolution of int8 images between edges with channels first."""

    def __init__(self, channels: int = 3, *, floats: bool = False) -> None:
        self.b, self.rng, self.channels = TfliteBuilder(), np.random.default_rng(channels), channels
        self.floats = floats
        self.x = self.image((1, channels, 6, 5), first=True)
        self.y = self.image((1, 4, 6, 5), first=True)
        self.readers: list[int] = []

    def image(self, shape: tuple[int, ...], *, first: bool = False) -> int:
        return self.b.tensor(shape, dtype="float32") if first and self.floats else self.b.tensor(shape, 0.1, 3)

    def moved(self, x: int, shape: tuple[int, ...], permutation: tuple[int, ...], y: int | None = None) -> int:
        """By a TRANSPOSE, or a RESHAPE where there is one channel."""
        y = self.image(shape) if y is None else y
        if 1 in (shape[1], shape[3]):
            self.b.op("RESHAPE", [x, self.b.constant(np.array(shape, np.int32))], [y])
        else:
            self.b.op("TRANSPOSE", [x, self.b.constant(np.array(permutation, np.int32))], [y])
        return y

    def build(self) -> bytes:
        b, x = self.b, self.x
        if self.floats:
            x = self.image((1, self.channels, 6, 5))
            b.op("QUANTIZE", [self.x], [x])
        inside = self.moved(x, (1, 6, 5, self.channels), LAST)
        weights = self.rng.integers(-99, 99, (4, 3, 3, self.channels)).astype(np.int8)
        result = self.image((1, 6, 5, 4))
        bias = b.constant(np.arange(4, dtype=np.int32), 0.002)
        b.op("CONV_2D", [inside, b.constant(weights, 0.02), bias], [result], Padding=SAME, StrideH=1, StrideW=1)
        result = self.moved(result, (1, 4, 6, 5), FIRST, None if self.floats else self.y)
        if self.floats:
            b.op("DEQUANTIZE", [result], [self.y])
        for reader in self.readers:
            b.op("RELU", [self.x], [reader])
        return b.build([self.x], [self.y, *self.readers])


@pytest.mark.parametrize("floats", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_edges_lose_their_transpositions(channels: int, floats: bool) -> None:
    graph = import_tflite(Edged(channels, floats=floats).build(), "net", "net.tflite")
    moved = channels_last(graph, "net.tflite")
    verify(moved)
    assert not {"transpose", "reshape"} & {node.op.kind for node in moved.nodes}
    rng = np.random.default_rng(1)
    x = rng.normal(0, 4, (1, channels, 6, 5)).astype(np.float32)
    x = x if floats else rng.integers(-128, 128, x.shape).astype(np.int8)
    expected = interpreter.run(graph, [x])[graph.outputs[0]]
    found = interpreter.run(moved, [np.ascontiguousarray(x.transpose(LAST))])[moved.outputs[0]]
    np.testing.assert_array_equal(found, expected.transpose(LAST))


def test_an_input_that_something_else_reads() -> None:
    net = Edged()
    net.readers = [net.image((1, net.channels, 6, 5))]
    with pytest.raises(UsageError, match=r"input 't0', int8\[1x3x6x5\], is read by relu"):
        channels_last(import_tflite(net.build(), "net", "net.tflite"), "net.tflite")


@pytest.mark.parametrize("kind", ["RELU", "TRANSPOSE"])
def test_images_that_have_channels_last(kind: str) -> None:
    """Nothing transposes them, or not their channels."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 4, 4, 2), 0.1), b.tensor((1, 4, 4, 2), 0.1)
    b.op(kind, [x] if kind == "RELU" else [x, b.constant(np.array([0, 2, 1, 3], np.int32))], [y])
    with pytest.raises(UsageError, match=rf"input 't0', int8\[1x4x4x2\], is read by {kind.lower()}"):
        channels_last(import_tflite(b.build([x], [y]), "net", "net.tflite"), "net.tflite")


@pytest.mark.parametrize("layout", ["model", "nhwc"])
def test_a_build_says_which_and_equals_litert(layout: str, tmp_path: Path) -> None:
    (tmp_path / "net.tflite").write_bytes(Edged(floats=True).build())
    build = tinycompile.compile(tmp_path / "net.tflite", "mps2-an386", output=tmp_path / "out", layout=layout)
    header = next((tmp_path / "out").rglob("net.h")).read_text()
    assert f'_LAYOUT "{"NHWC" if layout == "nhwc" else "model"}"' in header
    x = np.random.default_rng(2).normal(0, 4, (3, 1, 3, 6, 5)).astype(np.float32)
    x = x if layout == "model" else x.transpose(0, 1, 3, 4, 2)
    assert verify_build(build, [np.ascontiguousarray(x)]).differences == 0
