"""Functions of two elements against their definitions: broadcasting, every type, every pair of int8 values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.full import also
from tests.support.kernel_checks import M7, check, check_all, check_if_taken, int8, site_of
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8
from tinycompile.ir import Op, Quantization, Site, TensorType
from tinycompile.kernels.choice import select
from tinycompile.kernels.float_ops import binary
from tinycompile.kernels.int8_pairs import div, extremum, prelu, squared_difference
from tinycompile.kernels.log_softmax import log_softmax
from tinycompile.kernels.mapped_pairs import comparison_of_scales, quotient, squared_difference_by_numbers
from tinycompile.kernels.pairs import (
    comparison,
    comparison_with_scalar,
    integer_map,
    integer_pairs,
    logical,
    logical_not,
)
from tinycompile.ops import all_ops
from tinycompile.ops._comparison import Comparison
from tinycompile.ops.abs import Abs
from tinycompile.ops.div import Div
from tinycompile.ops.equal import Equal
from tinycompile.ops.greater import Greater
from tinycompile.ops.less import Less
from tinycompile.ops.log_softmax import LogSoftmax
from tinycompile.ops.logical_and import LogicalAnd
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.logical_or import LogicalOr
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.neg import Neg
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.select import Select
from tinycompile.ops.sign import Sign
from tinycompile.ops.squared_difference import SquaredDifference

quick = settings(max_examples=10, deadline=None, derandomize=True)
M0 = core_named("cortex-m0")
COMPARISONS = [op for op in all_ops().values() if issubclass(op, Comparison)]
INT8_FACTORIES = [
    (Maximum, extremum),
    (Minimum, extremum),
    (SquaredDifference, squared_difference),
    (SquaredDifference, squared_difference_by_numbers),
    (Div, div),
    (Div, quotient),
    (Prelu, prelu),
]
OUTPUTS = {SquaredDifference: int8((), 0.6, -100), Div: int8((), 0.2, 3)}
SHAPES = [
    ((1, 5, 7, 3), (1, 5, 7, 3)),
    ((1, 3, 5, 8), (8,)),
    ((1, 1, 1, 9), (1, 3, 5, 9)),
    ((1, 4, 3, 6), (1, 4, 3, 1)),
    ((2, 1, 7, 8), (1, 5, 1, 8)),
    ((1, 3, 1, 2, 1, 3), (2, 1, 2, 1, 2, 3)),
    ((), (1, 2, 3, 5)),
]
EVERY_PAIR = ((256, 1), (1, 256))
ALL = np.arange(-128, 128).astype(np.int8)
scales, zero_points = st.floats(1e-3, 0.99), st.integers(-128, 127)


def every_pair_of(op: Op, inputs, output) -> Site:
    """All 65,536 pairs: both operands are constants but for their types, so the first one is given as a constant."""
    return site_of(op, inputs, [ALL.reshape(256, 1), None], output)


@pytest.mark.parametrize("op, factory", INT8_FACTORIES)
def test_int8_broadcasts(op, factory):
    y = OUTPUTS.get(op, int8((), 0.15, 5))
    inputs = [[int8(first, 0.1, 3), int8(second, 0.07, -20)] for first, second in SHAPES]
    check_all(factory, [site_of(op(), each, [None, None], y) for each in inputs])


@quick
@given(
    st.sampled_from(INT8_FACTORIES),
    st.tuples(scales, scales),
    st.tuples(zero_points, zero_points, zero_points),
    st.floats(0.05, 2),
)
def test_int8_every_pair(case, scale, zero_point, fill):
    (op, factory), largest = case, max(scale)
    whole = {SquaredDifference: 255 * largest**2, Div: scale[0] / scale[1], Prelu: scale[0]}
    inputs = [int8(shape, s, z) for shape, s, z in zip(EVERY_PAIR, scale, zero_point[:2], strict=True)]
    site = every_pair_of(op(), inputs, int8((), whole.get(op, scale[0]) * fill, zero_point[2]))
    for isa in (M7, M0):  # quotients that are exactly halves have no form where the reference rounds them at random
        check_if_taken(factory, site, isa)


@pytest.mark.parametrize("op", COMPARISONS)
def test_constants_that_are_no_finite_numbers(op):
    values = np.array([np.inf, -np.inf, np.nan, 0, 1.5], np.float32)
    floats = TensorType((3, 5), FLOAT32)
    check(comparison, site_of(op(), [floats, TensorType((5,), FLOAT32)], [None, values], TensorType((), BOOL)))


@pytest.mark.parametrize("op, factory", [(Div, quotient), (SquaredDifference, squared_difference_by_numbers)])
@pytest.mark.parametrize("size", [5, 300])
def test_known_operands(op, factory, size):
    """Few are numbers, many are looked up; either may be known."""
    values = np.random.default_rng(1).integers(-128, 128, size).astype(np.int8)
    for constants in ([None, values], [values, None]):
        inputs = [int8((3, size) if c is None else (size,), 0.1, 3) for c in constants]
        check(factory, site_of(op(), inputs, constants, OUTPUTS[op]))


def test_numbers_exist_for_any_scales():
    """Of the forms that are checked over all pairs."""
    rng = np.random.default_rng(3)
    for first, second, fill in zip(*10 ** rng.uniform(-3, -0.1, (2, 30)), rng.uniform(0.05, 2, 30), strict=True):
        inputs = [int8((4,), s, int(z)) for s, z in zip((first, second), rng.integers(-128, 128, 2), strict=True)]
        zero_point = int(rng.integers(-128, 128))
        quotients = site_of(Div((-100, 90)), inputs, [None, None], int8((), first / second * fill, zero_point))
        assert quotient(quotients, M7) is not None
        y = int8((), 255 * max(first, second) ** 2 * fill, zero_point)
        assert squared_difference_by_numbers(site_of(SquaredDifference(), inputs, [None, None], y), M7) is not None


def test_squares_have_a_short_form():
    """Layer normalisation: a tensor and its mean, of other scales."""
    for ratio in (0.9, 0.37, 0.011):
        inputs = [int8((4, 64), 0.05, 3), int8((4, 1), 0.05 * ratio, -7)]
        site = site_of(SquaredDifference(), inputs, [None, None], int8((), 0.3, -128))
        assert check(squared_difference, site).variant.endswith("_short")


def test_long_forms():
    site = site_of(SquaredDifference(), [int8((4, 9), 0.05)] * 2, [None, None], int8((), 400.0, 3))
    assert check(squared_difference, site).variant.endswith("_long")
    site = site_of(Prelu(), [int8((4, 9), 0.05), int8((9,), 1.0)], [None, None], int8((), 0.01, 3))
    assert check(prelu, site).variant.endswith("_long")


@pytest.mark.parametrize("dtype", [FLOAT32, INT32, INT64, INT16, BOOL, INT8, UINT8])
@pytest.mark.parametrize("op", [Less(), *also(Equal())])
def test_comparisons_broadcast(op, dtype):
    if dtype not in op.meanings():
        return
    quant = Quantization.per_tensor(0.1, 3) if dtype in (INT8, UINT8) else None
    inputs = [[TensorType(shape, dtype, quant) for shape in shapes] for shapes in SHAPES]
    check_all(comparison, [site_of(op, each, [None, None], TensorType((), BOOL)) for each in inputs])


@quick
@given(st.sampled_from(COMPARISONS), st.sampled_from([INT8, UINT8]), scales, scales, zero_points, zero_points)
def test_comparisons_of_every_pair(op, dtype, first, second, x_zero, y_zero):
    shift = 0 if dtype == INT8 else 128
    inputs = [
        TensorType(shape, dtype, Quantization.per_tensor(scale, zero + shift))
        for shape, scale, zero in zip(EVERY_PAIR, (first, second), (x_zero, y_zero), strict=True)
    ]
    values = ALL.view(dtype.carrier).reshape(256, 1)
    site = site_of(op(), inputs, [values, None], TensorType((), BOOL))
    check(comparison_of_scales, site)


@pytest.mark.parametrize("operand", [0, 1])
def test_comparisons_with_a_scalar_are_tables(operand):
    inputs = [int8((1, 3, 5, 3), 0.1, 3), int8((1, 3, 5, 3), 0.12, -20)]
    inputs[operand] = int8((1, 1), 0.3, 1)
    constants = [np.array([[7]], np.int8) if index == operand else None for index in range(2)]
    check_all(comparison_with_scalar, [site_of(op(), inputs, constants, TensorType((), BOOL)) for op in COMPARISONS])


def test_comparisons_of_one_scale_need_no_table():
    site = site_of(Greater(), [int8((40,), 0.1, 3)] * 2, [None, None], TensorType((), BOOL))
    assert comparison(site, M7) is not None
    site = site_of(Greater(), [int8((40,), 0.1, 3), int8((40,), 0.1, 4)], [None, None], TensorType((), BOOL))
    assert comparison(site, M7) is None


@pytest.mark.parametrize("op", [LogicalAnd(), LogicalOr()])
def test_logical_operators(op):
    inputs = [[TensorType(shape, BOOL) for shape in shapes] for shapes in SHAPES]
    check_all(logical, [site_of(op, each, [None, None], TensorType((), BOOL)) for each in inputs])


def test_logical_not():
    check(logical_not, site_of(LogicalNot(), [TensorType((3, 7), BOOL)], [None], TensorType((), BOOL)))


INTEGERS = [
    (kind, dtype)
    for kind in "add sub mul div floor_div floor_mod pow maximum minimum squared_difference".split()
    for dtype in (INT32, INT64)
    if dtype in all_ops()[kind]().meanings()
]


@pytest.mark.parametrize("kind, dtype", INTEGERS)
def test_integers(kind, dtype):
    rng, sites = np.random.default_rng(0), list[Site]()
    for first, second in SHAPES[1:5]:
        t = [TensorType(shape, dtype) for shape in (first, second)]
        low, high = dtype.range
        ends = rng.choice([low, high, -1, 0, 1, 7, -7, 12], second).astype(dtype.carrier)
        for constants in ([None, None], [None, ends]):
            sites.append(site_of(all_ops()[kind](), t, constants, TensorType((), dtype)))
    check_all(integer_pairs, sites)


@pytest.mark.parametrize("op, dtype", [(Neg(), INT32), (Neg(), INT64), (Abs(), INT32), (Sign(), INT32)])
def test_integers_alone(op, dtype):
    check(integer_map, site_of(op, [TensorType((3, 7), dtype)], [None], TensorType((), dtype)))


@pytest.mark.parametrize("dtype", [INT8, UINT8, BOOL, INT16, INT32, INT64, FLOAT32])
def test_select(dtype):
    shapes = [((1, 3, 5, 7),) * 3, ((3, 1), (2, 3, 4), (4,)), ((4,), (1,), (3, 1)), ((2, 1, 9), (2, 3, 9), ())]
    inputs = [[TensorType(x, d) for x, d in zip(each, (BOOL, dtype, dtype), strict=True)] for each in shapes]
    check_all(select, [site_of(Select(), each, [None] * 3, TensorType((), dtype)) for each in inputs])


def test_select_of_constants():
    """`where(x > 0, x, constant)`, and a mask that is known."""
    t, mask = int8((2, 9)), np.random.default_rng(0).random((2, 9)) < 0.5
    y = np.array([-5], np.int8)
    check(select, site_of(Select(), [TensorType((2, 9), BOOL), t, int8((1,))], [None, None, y], t))
    check(select, site_of(Select(), [TensorType((2, 9), BOOL), t, t], [mask, None, None], t))


@pytest.mark.parametrize("rows, depth", [(3, 1), (2, 10), (4, 100), (1, 1000)])
def test_log_softmax(rows, depth):
    inputs = [int8((rows, depth), scale, 3) for scale in (0.01, 0.2, 2.0, 29.5, 31.5, 60.0, 500.0)]
    check_all(log_softmax, [site_of(LogSoftmax(), [x], [None], int8((), 1 / 16, 127)) for x in inputs])


def test_float_pairs_broadcast():
    inputs = [[TensorType(shape, FLOAT32) for shape in shapes] for shapes in SHAPES]
    check_all(binary, [site_of(Mul(), each, [None, None], TensorType((), FLOAT32)) for each in inputs])


def test_more_loops_than_the_runtime_has():
    shape = (2, 2) * 4
    other = (2, 1) * 4
    site = site_of(Maximum(), [int8(shape), int8(other)], [None, None], int8(()))
    assert extremum(site, M7) is None
    site = site_of(Select(), [TensorType(other, BOOL), int8(shape), int8(shape)], [None] * 3, int8(()))
    assert select(site, M7) is None
