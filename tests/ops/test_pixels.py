"""What a camera's bytes mean: each format by a definition of its own, pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import int8
from tinycompile.dtypes import UINT8
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.pixels import FORMATS, Pixels

PLAIN = bytes(np.arange(256, dtype=np.uint8))
"""The value itself, its bits as int8."""


def colours(name: str, frame: np.ndarray, channels: int = 3) -> np.ndarray:
    op = Pixels(name, 0, frame.shape[1] // FORMATS[name].block, 1, True, PLAIN * channels)
    x = TensorType((1, *frame.shape), UINT8)
    ((shape, _),) = op.infer([x])
    (found,) = op.evaluate(Signature((x,), (int8(shape),)), [frame[None]])
    return found[0].view(np.uint8)


def test_black_white_and_the_colours_of_each_format() -> None:
    word = lambda r, g, b: [(r << 3 | g >> 3), (g & 7) << 5 | b]  # noqa: E731
    for name, order in (("rgb565be", 1), ("rgb565", -1)):
        frame = np.array([[word(31, 63, 31)[::order], word(31, 0, 0)[::order], word(0, 32, 1)[::order]]], np.uint8)
        assert colours(name, frame)[0].tolist() == [[255, 255, 255], [255, 0, 0], [0, 130, 8]]
    rgb = np.array([[[1, 2, 3], [250, 128, 0]]], np.uint8)
    assert np.array_equal(colours("rgb888", rgb), rgb) and np.array_equal(colours("bgr888", rgb[..., ::-1]), rgb)
    gray = np.array([[[7], [255]]], np.uint8)
    assert colours("gray8", gray)[0].tolist() == [[7] * 3, [255] * 3]
    assert colours("rgb888", rgb, 1)[0, :, 0].tolist() == [(77 + 300 + 87 + 128) >> 8, (19250 + 19200 + 128) >> 8]


@pytest.mark.parametrize(("name", "at"), [("yuyv", (0, 1, 2, 3)), ("uyvy", (1, 0, 3, 2))])
def test_yuv_is_within_a_step_of_the_real_formula(name: str, at: tuple[int, ...]) -> None:
    """BT.601: luma from 16 to 235, colours from 16 to 240."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(0, 256, (200, 4))
    numbers[:2] = [[16, 128, 235, 128], [81, 90, 81, 240]]  # black and white, red twice
    frame = np.zeros((200, 2, 2), np.uint8)
    frame.reshape(200, 4)[:, at] = numbers
    found = colours(name, frame).astype(int)
    assert found[0].tolist() == [[0, 0, 0], [255, 255, 255]] and np.abs(found[1] - [255, 0, 0]).max() <= 1
    for (y0, u, y1, v), pair in zip(numbers.tolist(), found, strict=True):
        for y, got in zip((y0, y1), pair, strict=True):
            real = bt601(y, u, v)
            assert np.abs(np.clip(real, 0, 255) - got).max() <= 1.01
    assert np.array_equal(colours(name, frame, 1)[..., 0].ravel(), numbers[:, [0, 2]].ravel())


def bt601(y: int, u: int, v: int) -> np.ndarray:
    """Red, green and blue in [0, 255] if they are in range; green is what luma leaves for it."""
    luma, blue, red = (y - 16) / 219, (u - 128) / 224 * 1.772, (v - 128) / 224 * 1.402
    r, b = luma + red, luma + blue
    return 255 * np.array([r, (luma - 0.299 * r - 0.114 * b) / 0.587, b])


@pytest.mark.parametrize("name", [name for name in FORMATS if name.startswith("bayer")])
def test_bayer_puts_each_filter_into_its_colour(name: str) -> None:
    letters = name.removeprefix("bayer_")
    value = {"r": 200, "g": 100, "b": 50}
    cell = np.array([value[letter] for letter in letters], np.uint8).reshape(2, 2)
    frame = np.tile(cell, (3, 4))[..., None]
    frame[letters.index("g") // 2, letters.index("g") % 2, 0] = 103
    found = colours(name, frame)
    assert found.shape == (3, 4, 3)
    assert found[0, 0].tolist() == [200, 102, 50] and (found.reshape(-1, 3)[1:] == [200, 100, 50]).all()


def test_blocks_are_averaged_halves_up_or_their_middle_taken() -> None:
    frame = np.array([[0, 1, 9, 9], [1, 0, 9, 10]], np.uint8)[..., None]
    x, y = TensorType((1, 2, 4, 1), UINT8), int8((1, 1, 2, 1))
    for average, expected in ((True, [1, 9]), (False, [0, 10])):
        (found,) = Pixels("gray8", 0, 4, 2, average, PLAIN).evaluate(Signature((x,), (y,)), [frame[None]])
        assert found.ravel().tolist() == expected
    (found,) = Pixels("gray8", 1, 2, 2, True, PLAIN).evaluate(Signature((x,), (int8((1, 1, 1, 1)),)), [frame[None]])
    assert found.ravel().tolist() == [5]


def test_what_has_no_whole_blocks_is_refused() -> None:
    x = TensorType((1, 5, 6, 2), UINT8)
    for op in (Pixels("yuyv", 1, 2, 1, True, PLAIN), Pixels("rgb565", 0, 6, 2, True, PLAIN)):
        with pytest.raises(ValueError):
            op.infer([x])
    with pytest.raises(ValueError, match="no pixels"):
        Pixels("gray8", 0, 6, 1, True, PLAIN).infer([x])
