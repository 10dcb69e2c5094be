"""`window_rows.py`: what it counts is what walking over all windows finds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tinycompile.kernels.window_rows import PairRows, WindowRows, pair_rows, window_rows
from tinycompile.ops._spatial import Window

CASES = (
    (Window((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)), (8, 7)),
    (Window((3, 3), (2, 2), (1, 1), (0, 1, 0, 1)), (8, 8)),
    (Window((5, 5), (1, 1), (1, 1), (2, 2, 2, 2)), (2, 2)),
    (Window((1, 7), (1, 2), (1, 1), (0, 0, 2, 3)), (1, 20)),
    (Window((3, 2), (1, 1), (2, 2), (2, 2, 1, 1)), (5, 5)),
    (Window((2, 2), (2, 2), (1, 1), (0, 0, 0, 0)), (6, 6)),
    (Window((1, 1), (1, 1), (1, 1), (0, 0, 0, 0)), (3, 3)),
)
DEPTH = 3


def held_pixels(window: Window, size: tuple[int, int]) -> Iterator[list[list[bool]]]:
    """Of each window, row by row, which of its pixels are in the image."""
    (top, _, left, _), rows = window.padding, range(window.kernel[0])
    height, width = window.output_size(*size)
    for oy in range(height):
        for ox in range(width):
            y = [oy * window.stride[0] - top + ky * window.dilation[0] for ky in rows]
            x = [ox * window.stride[1] - left + kx * window.dilation[1] for kx in range(window.kernel[1])]
            yield [[0 <= row < size[0] and 0 <= column < size[1] for column in x] for row in y]


def shapes(window: Window, size: tuple[int, int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (1, *size, DEPTH), (1, *window.output_size(*size), 4)


@pytest.mark.parametrize(("window", "size"), CASES)
def test_rows_of_windows(window: Window, size: tuple[int, int]) -> None:
    rows = inside = gaps = outside = 0
    for held in held_pixels(window, size):
        for row in held:
            rows += any(row)
            inside += sum(row)
            outside += len(row) - sum(row)
            gaps += (not row[0]) + (not row[-1]) if any(row) else 1
    assert window_rows(window, *shapes(window, size)) == WindowRows(rows, inside, gaps, outside)


@pytest.mark.parametrize(("window", "size"), CASES)
def test_rows_of_pairs_of_windows(window: Window, size: tuple[int, int]) -> None:
    """Pairs are read from the image where both windows are in it and their pixels side by side."""
    windows = list(held_pixels(window, size))
    windows += windows[-1:] * (len(windows) % 2)
    direct = copied = inside = outside = 0
    for first, second in zip(windows[::2], windows[1::2], strict=True):
        pixels = [pixel for row in (*first, *second) for pixel in row]
        if window.dilation[1] == 1 and (all(pixels) or not any(window.padding)):
            direct += window.kernel[0]
        else:
            copied += window.kernel[0]
            inside += sum(pixels)
            outside += len(pixels) - sum(pixels)
    many = window.kernel[0] > 1
    found = pair_rows(window, *shapes(window, size))
    assert found == PairRows(window.kernel[1], DEPTH, direct, many, copied, inside, outside)
    assert found.bytes == window.kernel[1] * DEPTH
