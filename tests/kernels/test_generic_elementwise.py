"""ADD, SUB, MUL and one-input functions against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check, check_all, int8, random_values, site_of
from tinycompile.dtypes import INT8, UINT8
from tinycompile.ir import Quantization, TensorType
from tinycompile.kernels.binary import broadcast_loops
from tinycompile.kernels.elementwise import add, mul, table, unsigned_table, with_scalar
from tinycompile.kernels.integer_forms import sum_form
from tinycompile.ops.add import Add
from tinycompile.ops.logistic import Logistic
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh

quick = settings(max_examples=8, deadline=None, derandomize=True)
FACTORIES = {Add: add, Sub: add, Mul: mul}
EVERY_PAIR = ((256, 1), (1, 256))
SHAPES = [
    ((1, 5, 7, 3), (1, 5, 7, 3)),
    ((1, 3, 5, 8), (8,)),
    ((1, 1, 1, 9), (1, 3, 5, 9)),
    ((1, 4, 3, 6), (1, 4, 3, 1)),
    ((2, 1, 7, 8), (1, 5, 1, 8)),
    ((1, 3, 1, 2, 1, 3), (2, 1, 2, 1, 2, 3)),
    ((1,), (1, 2, 3, 5)),
]
scales = st.floats(1e-3, 1.0)
zero_points = st.integers(-128, 127)
clamps = st.sampled_from([(-128, 127), (-128, 127), (-20, 90)])


@pytest.mark.parametrize("op", [Add((-100, 127)), Mul()])
def test_broadcasting(op):
    inputs = [[int8(first, 0.1, 3), int8(second, 0.07, -20)] for first, second in SHAPES]
    check_all(FACTORIES[type(op)], [site_of(op, each, [None, None], int8((), 0.15, 5)) for each in inputs])


@quick
@given(
    st.sampled_from([Add, Sub, Mul]),
    st.lists(scales, min_size=2, max_size=2),
    st.lists(zero_points, min_size=3, max_size=3),
    st.floats(0.4, 1.2),
    clamps,
)
def test_every_pair_of_operands(kind, scale, zero_point, fill, clamp):
    """All 65,536 pairs: the shapes broadcast every value of one against every value of the other."""
    y_scale = fill * (scale[0] * scale[1] * 127 if kind is Mul else scale[0] + scale[1])
    inputs = [int8(shape, s, z) for shape, s, z in zip(EVERY_PAIR, scale, zero_point[:2], strict=True)]
    site = site_of(kind(clamp), inputs, [None, None], int8((), y_scale, zero_point[2]))
    values = np.arange(-128, 128).astype(np.int8)
    kernel = check(FACTORIES[kind], site_with_constant(site, 0, values.reshape(256, 1)))
    assert kernel.variant.endswith("_short")


def site_with_constant(site, operand, value):
    constants = tuple(value if index == operand else old for index, old in enumerate(site.constants))
    return type(site)(site.node, site.sig, constants)


@pytest.mark.parametrize("op", [Add(), Sub()])
def test_ties_have_a_linear_form(op):
    """Equal scales and an output scale of twice that make every other sum a tie."""
    for zero_points_of_y in (-128, 0, 7):
        inputs = [int8((4, 4), 0.25, 1), int8((4, 4), 0.25, -6)]
        sig = site_of(op, inputs, [None, None], int8((), 0.5, zero_points_of_y)).sig
        assert sum_form(op, sig) is not None


@pytest.mark.parametrize("op, y_scale", [(Add(), 0.0101), (Mul(), 1e-4), (Mul(), 4000.0)])
def test_long_forms(op, y_scale):
    inputs = [int8((1, 3, 5, 3), 0.1, 3), int8((1, 3, 5, 3), 0.12, -20)]
    kernel = check(FACTORIES[type(op)], site_of(op, inputs, [None, None], int8((), y_scale, 5)))
    assert kernel.variant.endswith("_long")


@pytest.mark.parametrize("operand", [0, 1])
@pytest.mark.parametrize("factory", [add, with_scalar])
def test_constant_scalar(operand, factory):
    inputs = [int8((1, 3, 5, 3), 0.1, 3), int8((1, 3, 5, 3), 0.12, -20)]
    inputs[operand] = int8((1, 1), 0.3, 1)
    constants = [np.array([[77]], np.int8) if index == operand else None for index in range(2)]
    check(factory, site_of(Sub(), inputs, constants, int8((), 0.15, 5)))


def test_a_scalar_that_is_broadcast_over_is_no_table():
    site = site_of(Add(), [int8((1,)), int8((1,))], [np.array([1], np.int8), None], int8(()))
    assert with_scalar(site, M7) is not None
    site = site_of(Add(), [int8((1, 1)), int8((4,))], [None, np.zeros(4, np.int8)], int8(()))
    assert with_scalar(site, M7) is None


def test_broadcast_loops_are_merged():
    assert broadcast_loops((1, 4, 5, 6), (1, 4, 5, 6)) == [(120, 1, 1)]
    assert broadcast_loops((1, 4, 5, 6), (6,)) == [(20, 6, 0), (6, 1, 1)]
    assert broadcast_loops((1, 4, 5, 6), (1, 4, 5, 1)) == [(20, 6, 1), (6, 1, 0)]
    assert broadcast_loops((1,), (1, 1)) == [(1, 1, 1)]


@pytest.mark.parametrize("count", [1, 3, 4, 11])
@pytest.mark.parametrize(
    "op, y",
    [
        (Relu((-3, 60)), int8((), 0.2, -3)),
        (Logistic(), int8((), 1 / 256, -128)),
        (Tanh(), int8((), 1 / 128, 0)),
    ],
)
def test_tables(op, y, count):
    check(table, site_of(op, [int8((1, count), 0.03, 5)], [None], y), core_named("host"))


@pytest.mark.parametrize("source", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("target", [INT8, UINT8], ids=str)
def test_quantize_between_8_bit_types(source, target):
    x = TensorType((3, 9), source, Quantization.per_tensor(0.1, 3))
    y = TensorType((3, 9), target, Quantization.per_tensor(0.13, 100))
    check(table if source == INT8 else unsigned_table, site_of(Quantize(target), [x], [None], y))


def test_random_values_reach_the_ends():
    values = random_values(int8((1000,)), np.random.default_rng(0))
    assert {-128, 127} <= set(values.tolist())
