"""Kernels of linear interpolation against their definition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check_all, check_cases, int8, site_of
from tinycompile.ir import Site
from tinycompile.kernels.resize_bilinear import (
    float_resize_bilinear,
    resize_bilinear,
    resize_bilinear_rows,
    resize_bilinear_words,
)
from tinycompile.ops.resize_bilinear import ResizeBilinear

quick = settings(max_examples=12, deadline=None, derandomize=True)
MODES = (
    {"rule": "down"},
    {"align_corners": True},
    {"half_pixel_centers": True, "rule": "onnx"},
    {"half_pixel_centers": True},
    {"half_pixel_centers": True, "rule": "to zero"},
)


def image(size: tuple[int, int], result: tuple[int, int], channels: int, **mode: bool | str) -> Site:
    return site_of(ResizeBilinear(result, **mode), [int8((1, *size, channels))], [None], int8(()))


@quick
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 7)), st.tuples(st.integers(1, 13), st.integers(1, 15)),
    st.integers(1, 9), st.sampled_from(MODES),
)  # fmt: skip
def test_any_size(size, result, channels, mode):
    site = image(size, result, channels, **mode)
    check_cases([(factory, site) for factory in (resize_bilinear, resize_bilinear_rows)])


def test_rows_are_summed_once_where_that_pays():
    larger, smaller = image((16, 16), (24, 24), 16), image((16, 16), (4, 4), 16)
    for core in (M7, core_named("cortex-m3")):
        costs = [(f(larger, core), f(smaller, core)) for f in (resize_bilinear, resize_bilinear_rows)]
        (each_larger, each_smaller), (rows_larger, rows_smaller) = costs
        assert rows_larger.instructions < each_larger.instructions
        assert rows_smaller.instructions > each_smaller.instructions


@pytest.mark.parametrize("mode", [MODES[0], *MODES[2:]])
def test_two_channels_in_a_word(mode):
    times = [(2, 2), (4, 4), (2, 8), (1, 2), (4, 1)]
    sites = [image((5, 6), (5 * rows, 6 * columns), depth, **mode) for rows, columns in times for depth in (4, 12)]
    check_all(resize_bilinear_words, sites)
    check_all(resize_bilinear, sites)
    for site in sites:
        kernel, usual = resize_bilinear_words(site, M7), resize_bilinear(site, M7)
        assert kernel and usual and kernel.instructions < usual.instructions


def test_weights_that_are_no_small_numbers():
    assert resize_bilinear_words(image((5, 6), (15, 18), 8), M7) is None
    assert resize_bilinear_words(image((5, 6), (5, 6), 8), M7) is None, "a copy"
    assert resize_bilinear_words(image((5, 6), (10, 12), 6), M7) is None, "no whole words"


@pytest.mark.parametrize("mode", [*MODES[:2], MODES[3]])
def test_floats(mode):
    check_float(float_resize_bilinear, ResizeBilinear((7, 5), **mode), [normal(2, 3, 4, 3)])
