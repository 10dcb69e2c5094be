"""Rows times a matrix by byte lanes: sums that are too large for one accumulation, and blocks of 4 channels."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, int8, site_of
from tinycompile.dtypes import INT32
from tinycompile.ir import TensorType
from tinycompile.kernels.lane import (
    LONG_ROUND,
    PART,
    PRE,
    SHORT_ROUND,
    PartLanes,
    Rows,
    fully_connected,
    fully_connected_direct,
    fully_connected_long,
)
from tinycompile.ops.fully_connected import FullyConnected


@pytest.mark.parametrize(("inputs", "parts"), [(1920, 4), (2399, 5)])
def test_large_sums_in_parts(inputs: int, parts: int):
    """Of random inputs, and the largest sums that there are: all products of one sign, in every part."""
    op = FullyConnected((-60, 70))
    rng = np.random.default_rng(inputs)
    ends = np.repeat(np.array([[127], [-127]]), inputs, axis=1)
    weights = np.concatenate([ends, rng.integers(-127, 128, (2, inputs))]).astype(np.int8)
    bias = np.full(4, 99, np.int32)
    types = [int8((2, inputs)), int8(weights.shape, 0.01), TensorType((4,), INT32)]
    site = site_of(op, types, [None, weights, bias], int8((), 0.07 * inputs**0.5, -3))
    rows = Rows.of(site, M7)
    assert rows is not None
    assert isinstance(rows.lanes, PartLanes)
    assert (rows.lanes.parts, rows.lanes.layer.fits(PRE)) == (parts, False)
    x = np.repeat(np.array([[-128], [127]], np.int8), inputs, axis=1)
    (expected,) = op.evaluate(site.sig, [x, weights, bias])
    for factory in (fully_connected, fully_connected_long, *([] if inputs % 4 else [fully_connected_direct])):
        actual = run_kernel(check(factory, site), [x, None, None], site.sig.output)
        np.testing.assert_array_equal(actual, expected)


def test_parts_of_rows_are_whole_rounds_within_the_sums_of_24_bits():
    assert 4 * PART * 128 * 128 < 2**23
    assert PART % SHORT_ROUND == PART % LONG_ROUND == 0


@pytest.mark.parametrize(
    ("inputs", "outputs", "rest"), [(64, 4, 4), (64, 5, 8), (64, 12, 8), (400, 12, 4), (400, 13, 8), (400, 16, 8)]
)
def test_four_channels_or_fewer_at_the_end_are_a_block_where_that_saves_flash(inputs: int, outputs: int, rest: int):
    weights = np.full((outputs, inputs), 3, np.int8)
    weights[:, 0] = np.arange(outputs)
    types = [int8((2, inputs)), int8(weights.shape, 0.01)]
    site = site_of(FullyConnected(), types, [None, weights], int8((), 0.05 * inputs**0.5, -3))
    rows, whole = Rows.of(site, M7), Rows.of(site, M7, whole=True)
    assert rows is not None
    assert whole is not None
    assert (rows.rest, whole.rest) == (rest, 8)
    blocks = outputs // 8 * 8 + (rest if outputs % 8 else 0)
    assert rows.weights.values.size == blocks * rows.lanes.record
    if rest == 4:
        few, many = (kernel.constant_bytes + kernel.code_bytes for kernel in (rows.kernel(), whole.kernel()))
        assert few < many
        check(fully_connected, site)
