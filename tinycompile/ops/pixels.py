"""A camera's bytes become pixels of a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Lines
from tinycompile.dtypes import INT8, UINT8, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._rules import wrong_dtype

VALUES = 256
"""Of a colour as it comes from the camera."""


def _gray(x: Array) -> Array:
    return x[..., 0]


def _rgb(x: Array) -> Array:
    return x[..., :3]


def _of_565(high: Array, low: Array) -> Array:
    """Five or six bits become eight by repeating the highest ones."""
    word = high.astype(np.int32) << 8 | low
    red, green, blue = word >> 11, word >> 5 & 63, word & 31
    return np.stack([red << 3 | red >> 2, green << 2 | green >> 4, blue << 3 | blue >> 2], -1)


def _of_yuv(y: Array, u: Array, v: Array) -> Array:
    """BT.601 with black at 16 and white at 235, in 8 bits of fraction."""
    c, d, e = (298 * (y.astype(np.int32) - 16), u.astype(np.int32) - 128, v.astype(np.int32) - 128)
    parts = (c + 409 * e, c - 100 * d - 208 * e, c + 516 * d)
    return np.clip(np.stack([(part + 128) >> 8 for part in parts], -1), 0, 255)


def _pairs(x: Array, luma: int) -> tuple[Array, Array, Array]:
    """Of YUV422, two pixels in four bytes: (Y of each pixel, its pair's U, its pair's V)."""
    pairs = x.reshape(*x.shape[:2], -1, 4)
    chroma = 1 - luma
    u, v = (np.repeat(pairs[..., chroma + 2 * i], 2, axis=2) for i in range(2))
    return x[..., luma], u, v


def _of_bayer(x: Array, order: str) -> Array:
    """A block of two rows and columns is a pixel: both greens are averaged, halves up."""
    cells = {"rg": (0, 0), "gr": (0, 1), "gb": (1, 0), "bg": (1, 1)}
    row, column = cells[order]
    at = {(i, j): x[:, i::2, j::2, 0].astype(np.int32) for i in range(2) for j in range(2)}
    green = at[row, 1 - column] + at[1 - row, column] + 1 >> 1
    return np.stack([at[row, column], green, at[1 - row, 1 - column]], -1)


@dataclass(frozen=True)
class Layout:
    """How a camera's pixels lie in memory.

    Attributes:
        bytes: of a pixel. block: rows and columns that are one pixel. pair: pixels that share colours, side by side.
        colours: (1, rows, columns, bytes) to int (1, rows, columns) of gray values or (1, rows, columns, 3).
        gray: the gray values, where they are known without the colours.
    """

    bytes: int
    colours: Callable[[Array], Array]
    block: int = 1
    pair: int = 1
    gray: Callable[[Array], Array] | None = None


FORMATS: Mapping[str, Layout] = {
    "gray8": Layout(1, _gray, gray=_gray),
    "rgb888": Layout(3, _rgb),
    "bgr888": Layout(3, lambda x: x[..., ::-1]),
    "rgb565": Layout(2, lambda x: _of_565(x[..., 1], x[..., 0])),
    "rgb565be": Layout(2, lambda x: _of_565(x[..., 0], x[..., 1])),
    "yuyv": Layout(2, lambda x: _of_yuv(*_pairs(x, 0)), pair=2, gray=_gray),
    "uyvy": Layout(2, lambda x: _of_yuv(*_pairs(x, 1)), pair=2, gray=lambda x: x[..., 1]),
    "bayer_rggb": Layout(1, lambda x: _of_bayer(x, "rg"), block=2),
    "bayer_grbg": Layout(1, lambda x: _of_bayer(x, "gr"), block=2),
    "bayer_gbrg": Layout(1, lambda x: _of_bayer(x, "gb"), block=2),
    "bayer_bggr": Layout(1, lambda x: _of_bayer(x, "bg"), block=2),
}
"""In the order of runtime/kernels/tc_pixels.h."""


@dataclass(frozen=True)
class Pixels(Op):
    """Made by the compiler for `--camera`: uint8 (1, H, W, bytes of a pixel) to int8 (1, h, w, 1 or 3). Colours of 8
    bits, some columns of them, blocks of `step` rows and columns averaged (halves up) or their middle taken, then the
    model's number for each value.

    Attributes:
        format: a key of `FORMATS`.
        first, columns: of the pixels that are taken, before they are put together.
        step: rows and columns of pixels that become one.
        average: of them; else the pixel behind the middle.
        tables: 256 int8 for each channel of the model, by the value of the colour.
    """

    kind: ClassVar[str] = "pixels"

    format: str
    first: int
    columns: int
    step: int
    average: bool
    tables: bytes = field(repr=False)

    @property
    def layout(self) -> Layout:
        return FORMATS[self.format]

    @property
    def channels(self) -> int:
        return len(self.tables) // VALUES

    @property
    def rows(self) -> int:
        """Of the camera, that become one of the model."""
        return self.step * self.layout.block

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        layout, x = self.layout, inputs[0]
        if len(x.shape) != 4 or x.shape[0] != 1 or x.shape[3] != layout.bytes or self.channels not in (1, 3):
            raise ValueError(f"{x} has no pixels of {self.format}")
        _, height, width, _ = x.shape
        whole = width // layout.block
        if height % self.rows or width % (layout.block * layout.pair) or self.columns % self.step or self.columns < 1:
            raise ValueError(f"{x} has no whole blocks of {self.rows} rows and {self.step} columns")
        if self.first % layout.pair or not 0 <= self.first <= self.first + self.columns <= whole:
            raise ValueError(f"columns from {self.first} on, {self.columns} of {whole}")
        return (((1, height // self.rows, self.columns // self.step, self.channels), INT8),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        taken = self._values(inputs[0])[:, :, self.first : self.first + self.columns]
        height, width, step = taken.shape[1] // self.step, self.columns // self.step, self.step
        blocks = taken.reshape(1, height, step, width, step, -1)
        if self.average:
            values = (blocks.sum((2, 4), dtype=np.int64) + step * step // 2) // (step * step)
        else:
            values = blocks[:, :, step // 2, :, step // 2]
        tables = np.frombuffer(self.tables, np.int8).reshape(self.channels, VALUES)
        return (np.stack([table[values[..., i]] for i, table in enumerate(tables)], -1),)

    def _values(self, x: Array) -> Array:
        """int (1, rows, columns, channels of the model): the colours, or gray values made of them."""
        layout = self.layout
        if self.channels == 1 and layout.gray is not None:
            return layout.gray(x)[..., None].astype(np.int32)
        colours = layout.colours(x).astype(np.int32)
        if colours.ndim == 3:
            return np.repeat(colours[..., None], self.channels, -1)
        if self.channels == 3:
            return colours
        return (colours @ np.array([77, 150, 29]) + 128 >> 8)[..., None]

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_dtype(sig.input, "the input", UINT8) or wrong_dtype(sig.output, "the output", INT8)

    def access(self, sig: Signature, operand: int) -> Access:
        """Rows of the camera, each as a whole."""
        return Lines(self.rows, sig.input.shape[2])

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """Rows, which are whole."""
        return self if sizes[1] is None else None
