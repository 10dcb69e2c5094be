"""Kernels of matrix products against their definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check, check_cases, check_if_taken, int8, site_of
from tinycompile.kernels.batch_matmul import batch_matmul, float_batch_matmul
from tinycompile.kernels.matrix_product import (
    matrix_product,
    matrix_product_by_columns,
    matrix_product_by_few_columns,
)
from tinycompile.kernels.matrix_row import matrix_row
from tinycompile.kernels.matrix_tiles import matrix_tiles
from tinycompile.kernels.mve_matrix import mve_matrix
from tinycompile.numerics.step_requant import exact_requant, real_product
from tinycompile.ops.batch_matmul import BatchMatMul

M55 = core_named("cortex-m55", dsp=True, mve=True, fpu=True)
M3 = core_named("cortex-m3")
quick = settings(max_examples=12, deadline=None, derandomize=True)
BATCHES = [((), ()), ((2,), (2,)), ((1,), (3,)), ((3,), ()), ((2, 1), (3,)), ((2, 1, 2), (1, 3, 2))]


def product(batches, sizes, adjoint, zero, constant=None, *, rule=None, scale=None):
    """Of random matrices; sums fill the range of the output."""
    rows, depth, columns = sizes
    shapes = ((rows, depth), (depth, columns))
    operands = [
        int8((*batch, *(shape[::-1] if turned else shape)), 0.1, zero_point)
        for batch, shape, turned, zero_point in zip(batches, shapes, adjoint, zero, strict=False)
    ]
    rng = np.random.default_rng(depth)
    constants = [
        rng.integers(-128, 128, t.shape).astype(np.int8) if index == constant else None
        for index, t in enumerate(operands)
    ]
    y = int8((), scale or 0.01 * 70 * depth**0.5, zero[2])
    return site_of(BatchMatMul(*adjoint, rule), operands, constants, y)


@quick
@given(
    st.sampled_from(BATCHES), st.tuples(st.integers(1, 5), st.integers(1, 11), st.integers(1, 10)),
    st.tuples(st.booleans(), st.booleans()), st.tuples(*[st.integers(-128, 127)] * 3), st.sampled_from([None, 0, 1]),
)  # fmt: skip
def test_any_shape(batches, sizes, adjoint, zero, constant):
    site = product(batches, sizes, adjoint, zero, constant)
    check_cases([(factory, site) for factory in (batch_matmul, matrix_product, mve_matrix)], M55)


@pytest.mark.parametrize(
    ("sizes", "adjoint"), [((1, 7, 2), (True, True)), ((2, 14, 9), (False, True)), ((1, 9, 6), (False, False))]
)
def test_rows_by_columns_where_they_are(sizes, adjoint):
    check(matrix_row, product(((2,), (2,)), sizes, adjoint, (3, -128, 5)))


def test_rows_have_no_few_columns_that_lie_across():
    assert matrix_row(product(((), ()), (1, 8, 3), (False, False), (0, 0, 0)), M7) is None


@pytest.mark.parametrize("sizes", [(1, 5, 2), (3, 9, 5)])
def test_tiles(sizes):
    check(matrix_tiles, product(((2,), (2,)), sizes, (sizes[0] == 1, True), (3, -128, 5)), M3)


@quick
@given(
    st.sampled_from(BATCHES), st.tuples(st.just(1), st.integers(1, 19), st.integers(1, 10)),
    st.booleans(), st.tuples(*[st.integers(-128, 127)] * 3), st.sampled_from([None, 0, 1]),
)  # fmt: skip
def test_a_row_and_columns_along_memory(batches, sizes, turned, zero, constant):
    check(matrix_row, product(batches, sizes, (turned, True), zero, constant))


@pytest.mark.parametrize(("adjoint", "columns"), [((False, False), 70), ((True, True), 41)])
def test_some_columns_at_a_time(adjoint, columns):
    check(matrix_product_by_columns, product(((2,), ()), (3, 18, columns), adjoint, (5, -9, 3)))


@pytest.mark.parametrize("scale", [1e-3, 2.0**-4, 3e4])
def test_factors_above_one_and_far_below(scale):
    """The solver's forms, and TFLite's roundings as they are written."""
    site = product(((2,), (2,)), (3, 9, 6), (False, True), (3, -7, 5), scale=scale)
    check(batch_matmul, site)
    check(matrix_product, site)
    check(mve_matrix, site, M55)


@pytest.mark.parametrize("ties", [True, False])
def test_a_rule_given_by_its_steps(ties):
    factor = real_product(0.5, np.array([2.0**-7 if ties else 0.0123]))
    rule = exact_requant(factor, [Fraction(0)], Fraction(1, 4), -5, -128, 127)
    site = product(((2,), (2,)), (3, 9, 6), (False, True), (3, -7, -5), rule=rule)
    check(batch_matmul, site)
    check_if_taken(matrix_product, site)
    check_if_taken(mve_matrix, site, M55)


@pytest.mark.parametrize("constant", [(), (0,), (1,)])
def test_floats(constant):
    operands = [normal(2, 1, 4, 3), normal(5, 6, 4, seed=1)]
    check_float(float_batch_matmul, BatchMatMul(adj_x=True, adj_y=True), operands, constant)


@pytest.mark.parametrize(
    ("adjoint", "sizes"), [((False, True), (6, 5, 9)), ((False, False), (3, 6, 6)), ((True, True), (2, 9, 5))]
)
def test_results_where_operands_were(adjoint, sizes):
    """Rows in order, unless the last is read twice; columns are all packed before the first result."""
    kernel = check(matrix_product, product(((), ()), sizes, adjoint, (5, -9, 3)))
    rows, depth, columns = sizes
    in_order = {} if adjoint[0] or rows % 2 else {0: max((columns - depth) * end for end in range(2, rows + 1, 2))}
    assert kernel.overlap == {**in_order, 1: -rows * columns}


@pytest.mark.parametrize(
    ("batches", "sizes", "adjoint", "in_place"),
    [
        (((2,), (2,)), (9, 9, 22), (True, False), True),
        (((), ()), (5, 9, 17), (True, False), True),
        (((), ()), (9, 5, 17), (True, False), False),
        (((2,), (2,)), (5, 9, 17), (True, False), False),
        (((), ()), (5, 9, 17), (True, True), False),
        (((2,), ()), (9, 9, 17), (True, False), False),
    ],
)
def test_results_where_the_same_columns_were(batches, sizes, adjoint, in_place):
    """With some columns packed at a time."""
    site = product(batches, sizes, adjoint, (5, -9, 3))
    kernel = check(matrix_product_by_few_columns, site) if in_place else matrix_product_by_few_columns(site, M7)
    assert kernel.distances == ({1: 0} if in_place else {})
