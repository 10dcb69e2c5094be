"""Rows times a matrix by byte lanes whose sums are too large for one accumulation."""

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
