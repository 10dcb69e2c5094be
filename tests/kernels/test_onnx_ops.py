"""Kernels of the operators with ONNX's rounding against their definitions."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, check_all, int8, site_of
from tinycompile.dtypes import FLOAT32, INT8, UINT8
from tinycompile.frontend.onnx_quantize import PAIRS
from tinycompile.ir import Site, TensorType
from tinycompile.kernels.elementwise import add, with_scalar
from tinycompile.kernels.float_edges import quantize
from tinycompile.kernels.onnx_ops import onnx_binary, onnx_softmax, take_copied
from tinycompile.kernels.pooling import average_pool, mean
from tinycompile.kernels.softmax import softmax_table
from tinycompile.numerics.step_requant import exact_requant
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.div import Div
from tinycompile.ops.mean import Mean
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.take import Take

SHAPES = [((1, 3, 4, 5), (1, 3, 4, 5)), ((1, 3, 4, 5), (1, 1, 1, 5)), ((1, 1, 4, 1), (1, 3, 4, 5))]


@pytest.mark.parametrize("operator", PAIRS.values())
def test_binary_in_float(operator):
    """Scales of powers of two: exact ties."""
    sites = list[Site]()
    for shapes, (scales, clamp) in product(SHAPES, (((0.05, 0.02, 0.03), (-128, 127)), ((0.5, 0.25, 1.0), (-20, 90)))):
        types = [int8(shape, scale, zero) for shape, scale, zero in zip(shapes, scales, (3, -7), strict=False)]
        sites.append(site_of(operator(clamp, "onnx"), types, [None, None], int8((), scales[2], 5)))
    check_all(onnx_binary, sites)


@pytest.mark.parametrize("operator", [Add, Sub])
@pytest.mark.parametrize("shapes", SHAPES[:2])
def test_sums_in_integers(operator, shapes):
    types = [int8(shapes[0], 0.05, 3), int8(shapes[1], 0.021, -7)]
    check(add, site_of(operator((-100, 127), "onnx"), types, [None, None], int8((), 0.0533, 5)))


def test_a_sum_with_ties_has_no_integer_form():
    types = [int8((1, 4, 4, 3), 0.5, 3), int8((1, 4, 4, 3), 0.25, -7)]
    assert add(site_of(Add(rule="onnx"), types, [None, None], int8((), 1.0, 5)), M7) is None


def test_nothing_divided_by_nothing():
    """A NaN passes Relu: it is the smallest value, below the range of the others."""
    x = np.array([3, 3, 4, 2], np.int8)
    site = site_of(Div((5, 127), "onnx"), [int8((4,), 0.5, 3), int8((4,), 0.25, -7)], [x, None], int8((), 1.0, 5))
    (got,) = site.node.op.evaluate(site.sig, [x, np.array([-7, 9, -7, -7], np.int8)])
    assert got.tolist() == [-128, 5, 127, 5]
    every = [int8((256, 1), 0.5, 3), int8((1, 256), 0.25, -7)]
    values = np.arange(-128, 128).astype(np.int8)
    check(onnx_binary, site_of(Div((5, 127), "onnx"), every, [values.reshape(-1, 1), None], int8((), 1.0, 5)))


def test_constant_of_one_element():
    types = [int8((1, 4, 4, 3), 0.5, 3), int8((), 0.25, -7)]
    site = site_of(Div(rule="onnx"), types, [None, np.array(9, np.int8)], int8((), 1.0, 5))
    check(with_scalar, site)


@pytest.mark.parametrize(("shape", "scale"), [((3, 10), 0.1), ((1, 2), 0.7), ((2, 300), 0.002)])
def test_softmax(shape, scale):
    x, op = int8(shape, scale, 5), Softmax(rule="onnx")
    outputs = [(1 / 256, -128), (0.0039, -128), (0.01, 0), (2.0, 3), (2.0**-23, 0)]
    check_all(onnx_softmax, [site_of(op, [x], [None], int8((), *output)) for output in outputs])


def test_softmax_at_ties():
    """1 to 12 equal elements, whose probability is n + 1/2 steps."""
    for step in (1 / 51, 1 / 255, 1 / 63, 3 / 254):
        x = np.where(np.arange(13) <= np.arange(12)[:, None], 90, -128).astype(np.int8)
        site = site_of(Softmax(rule="onnx"), [int8(x.shape, 0.2)], [None], int8((), step, -128))
        y = run_kernel(onnx_softmax(site, M7), [x], site.sig.output, sanitize=True)
        np.testing.assert_array_equal(y, site.node.op.evaluate(site.sig, [x])[0])


def test_softmax_in_assembly():
    """Of both rules: rows with ties and any, tables of all distances and of few, outputs that are saturated."""

    def values(t, rng):
        near = rng.integers(-128, 128, (t.shape[0], 1)) + rng.integers(-12, 13, t.shape)
        equal = np.where(np.arange(t.shape[1]) <= np.arange(t.shape[0])[:, None], 90, -128)
        return np.where(np.arange(t.shape[0])[:, None] % 2, equal, near).clip(-128, 127).astype(np.int8)

    outputs = [(1 / 256, -128), (1 / 51, -128), (3 / 254, 5), (2.0**-9, -128), (2.0**-16, 0), (0.5, -128)]
    sites = [
        site_of(Softmax(rule="onnx"), [int8((40, depth), scale, 5)], [None], int8((), *output))
        for output, depth, scale in zip(outputs, (13, 13, 31, 18, 8, 13), (0.2, 0.2, 0.03, 0.01, 0.1, 0.3), strict=True)
    ]
    cases = [(onnx_softmax, site) for site in sites]
    for depth, scale in ((13, 0.2), (16, 0.05), (19, 0.3), (40, 0.01)):
        site = site_of(Softmax(), [int8((40, depth), scale, 5)], [None], int8((), 1 / 256, -128))
        cases.append((softmax_table, site))
    check_emulated(cases, values_of=values)


@pytest.mark.parametrize("dtype", [INT8, UINT8, FLOAT32], ids=str)
def test_take(dtype):
    x, ways = TensorType((3, 4, 5), dtype), product((0, 1, 2), [(1, 2), (2, 0, 0, 2), (2, 1, 0)])
    check_all(take_copied, [site_of(Take(axis, indices), [x], [None], x) for axis, indices in ways])


def rule(count: int, y_scale: float):
    return exact_requant([Fraction(1, 2) / count], [Fraction(0)], Fraction(y_scale), 3, -128, 127)


@pytest.mark.parametrize("y_scale", [0.5, 0.25, 0.37])
@pytest.mark.parametrize(("kernel", "stride"), [((2, 2), (2, 2)), ((3, 2), (1, 2))])
def test_average_pool(kernel, stride, y_scale):
    op = AveragePool2D(
        kernel, stride, (0, 0, 0, 0), (-100, 127), rule(kernel[0] * kernel[1], y_scale).clamped(-100, 127)
    )
    check(average_pool, site_of(op, [int8((1, 7, 6, 5), 0.5, -9)], [None], int8((), y_scale, 3)))


@pytest.mark.parametrize(("kernel", "padding"), [((2, 3), (1, 0, 2, 1)), ((3, 1), (2, 2, 0, 0))])
def test_average_pool_of_what_is_inside(kernel, padding):
    counts = [(i + 1) * (j + 1) for i in range(kernel[0]) for j in range(kernel[1])]
    product = [Fraction(1, 2) / count for count in counts]
    own = exact_requant(product, [Fraction(0)] * len(counts), Fraction(0.37), 3, -128, 127)
    op = AveragePool2D(kernel, (2, 1), padding, (-128, 127), own)
    check(average_pool, site_of(op, [int8((1, 7, 6, 5), 0.5, -9)], [None], int8((), 0.37, 3)))


@pytest.mark.parametrize("y_scale", [0.5, 0.25, 0.37])
@pytest.mark.parametrize(("axes", "count"), [((1, 2), 32), ((3,), 5), ((0, 1, 2, 3), 160)])
def test_mean(axes, count, y_scale):
    op = Mean(axes, True, rule(count, y_scale))
    check(mean, site_of(op, [int8((1, 4, 8, 5), 0.5, -9)], [None], int8((), y_scale, 3)))


@pytest.mark.parametrize("dtype", [INT8, UINT8], ids=str)
def test_quantize_rounds_half_to_even(dtype):
    from tinycompile.ir import Quantization

    x, y = TensorType((400,), FLOAT32), TensorType((), dtype, Quantization.per_tensor(0.5, 3))
    site = site_of(Quantize(dtype, "even"), [x], [None], y)
    halves = (np.arange(-40, 40, dtype=np.float32) / 4).reshape(-1)
    (got,) = site.node.op.evaluate(site.sig, [halves])
    assert np.array_equal(got, np.clip(np.rint(halves / 0.5) + 3, *dtype.range))
    check(quantize, site)
