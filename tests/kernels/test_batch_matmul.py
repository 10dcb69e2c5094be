"""Kernels of matrix products against their definition."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check, check_if_taken, int8, site_of
from tinycompile.kernels.batch_matmul import batch_matmul, float_batch_matmul
from tinycompile.kernels.matrix_product import (
    matrix_product,
    matrix_product_by_columns,
    matrix_product_by_few_columns,
)
from tinycompile.kernels.mve_matrix import mve_matrix
from tinycompile.numerics.step_requant import exact_requant, real_product
from tinycompile.ops.batch_matmul import BatchMatMul

M55 = core_named("cortex-m55", dsp=True, mve=True, fpu=True)
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


@pytest.mark.parametrize("factory", [batch_matmul, matrix_product, mve_matrix])
@quick
@given(
    st.sampled_from(BATCHES), st.tuples(st.integers(1, 5), st.integers(1, 11), st.integers(1, 10)),
    st.tuples(st.booleans(), st.booleans()), st.tuples(*[st.integers(-128, 127)] * 3), st.sampled_from([None, 0, 1]),
)  # fmt: skip
def test_any_shape(factory, batches, sizes, adjoint, zero, constant):
    check(factory, product(batches, sizes, adjoint, zero, constant), M55)


@pytest.mark.parametrize(("adjoint", "columns"), [((False, False), 70), ((True, True), 41)])
def test_some_columns_at_a_time(adjoint, columns):
    check(matrix_product_by_columns, product(((2,), ()), (3, 18, columns), adjoint, (5, -9, 3)))


@pytest.mark.parametrize(
    ("batches", "sizes", "adjoint", "distances"),
    [
        (((), ()), (18, 18, 22), (True, False), {1: 0}),
        (((2,), (2,)), (5, 9, 17), (True, False), {}),
        (((), ()), (5, 9, 17), (True, False), {1: 0}),
        (((), ()), (9, 5, 17), (True, False), {}),
        (((), ()), (5, 9, 17), (True, True), {}),
        (((2,), ()), (9, 9, 17), (True, False), {}),
    ],
)
def test_outputs_in_the_place_of_columns(batches, sizes, adjoint, distances):
    """Of the same columns of the second operand, which are packed when outputs are written."""
    site = product(batches, sizes, adjoint, (5, -9, 3))
    kernel = check(matrix_product_by_few_columns, site) if distances else matrix_product_by_few_columns(site, M7)
    assert kernel.distances == distances


@pytest.mark.parametrize(
    ("batches", "sizes", "adjoint", "distances"),
    [
        (((2,), (2,)), (4, 6, 6), (False, True), {0: 0, 1: 0}),
        (((2,), (2,)), (5, 6, 6), (False, True), {0: 6, 1: 0}),
        (((2,), (2,)), (4, 3, 5), (False, False), {0: 12, 1: 5}),
    ],
)
def test_outputs_in_the_place_of_an_operand(batches, sizes, adjoint, distances):
    assert check(matrix_product, product(batches, sizes, adjoint, (5, -9, 3))).distances == distances


@pytest.mark.parametrize(
    ("batches", "adjoint", "operands"), [(((2,), ()), False, [0]), (((), (2,)), False, [1]), (((2,), (2,)), True, [1])]
)
def test_no_output_in_the_place_of_an_operand_that_is_read_again(batches, adjoint, operands):
    kernel = matrix_product(product(batches, (4, 6, 3), (adjoint, False), (5, -9, 3)), M7)
    assert list(kernel.distances) == operands


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
