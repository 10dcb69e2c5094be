"""Searches, running sums and division by a length against their definitions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.cores import core_named
from tests.support.host_kernel import compile_together, run_kernel
from tests.support.kernel_checks import M7, check, check_all, int8, random_values, site_of
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8
from tinycompile.ir import Node, Signature, Site, TensorType
from tinycompile.kernels.searches import arg_extreme, arg_extreme_unrolled, cumulative, l2_normalization, top_k
from tinycompile.ops.arg_max import ArgMax
from tinycompile.ops.arg_min import ArgMin
from tinycompile.ops.cumulative_sum import CumulativeSum
from tinycompile.ops.l2_normalization import LARGEST_DEPTH, L2Normalization
from tinycompile.ops.top_k import TopK

AXES = [((7,), 0), ((3, 9), 1), ((4, 6, 5), 1), ((2, 3, 2, 4, 1, 3), 0)]


@pytest.mark.parametrize("op", [ArgMax, ArgMin])
@pytest.mark.parametrize("dtype", [INT8, UINT8, INT32, BOOL, FLOAT32], ids=str)
@pytest.mark.parametrize("index", [INT32, INT64], ids=str)
def test_arg_extremes(op, dtype, index):
    y = TensorType((), index)
    check_all(arg_extreme, [site_of(op(axis, index), [TensorType(x, dtype)], [None], y) for x, axis in AXES])


@pytest.mark.parametrize("op", [ArgMax, ArgMin])
def test_the_class_of_a_classifier(op):
    """Without a loop: the first of equals; NaN is never found."""
    site = site_of(op(0, INT64), [TensorType((9,), FLOAT32)], [None], TensorType((), INT64))
    kernel = arg_extreme_unrolled(site, M7)
    assert kernel is not None
    few = np.random.default_rng(0).choice(np.array([np.nan, -np.inf, np.inf, 0, 1], np.float32), (20, 9))
    for x in few:
        np.testing.assert_array_equal(run_kernel(kernel, [x], site.sig.output), op(0, INT64).evaluate(site.sig, [x])[0])
    rows = site_of(op(1, INT64), [TensorType((2, 9), FLOAT32)], [None], TensorType((2,), INT64))
    assert arg_extreme_unrolled(rows, M7) is None


@pytest.mark.parametrize("dtype", [INT32, INT64], ids=str)
@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_running_sums(dtype, exclusive, reverse):
    """In place, too."""
    y, ways = TensorType((), dtype), (exclusive, reverse)
    sites = [site_of(CumulativeSum(axis, *ways), [TensorType(x, dtype)], [None], y) for x, axis in AXES]
    check_all(cumulative, sites)


def test_running_sums_of_floats():
    """Bit for bit: one after the other."""
    x = TensorType((3, 50), FLOAT32)
    check(cumulative, site_of(CumulativeSum(1), [x], [None], x))


@pytest.mark.parametrize("core", [M7, core_named("cortex-m0")], ids=["m7", "m0"])
@pytest.mark.parametrize("shape", [(5,), (4, 33), (2, 3, 2, 7)])
@pytest.mark.parametrize("zero_point", [-128, 3, 127])
def test_l2_normalization(core, shape, zero_point):
    site = site_of(L2Normalization(), [int8(shape, 0.1, zero_point)], [None], int8((), 1 / 128, 0))
    check(l2_normalization, site, core)


@pytest.mark.parametrize("depth", [2, 5, LARGEST_DEPTH])
def test_lengths_of_every_size(depth):
    """Of rows that are short, of a few elements, and as long as there are."""
    rng, rows = np.random.default_rng(depth), 3 if depth == LARGEST_DEPTH else 4000
    site = site_of(L2Normalization(), [int8((rows, depth), 0.1, -128)], [None], int8((), 1 / 128, 0))
    largest = rng.integers(1, 256, (rows, 1)) if depth < LARGEST_DEPTH else np.array([[255], [254], [1]])
    values = largest - (rng.integers(0, largest + 1, (rows, depth)) if depth < LARGEST_DEPTH else 0)
    data = np.broadcast_to(values - 128, (rows, depth)).astype(np.int8)
    kernel = l2_normalization(site, M7)
    assert kernel is not None
    (expected,) = site.node.op.evaluate(site.sig, [data])
    np.testing.assert_array_equal(run_kernel(kernel, [data], site.sig.output), expected)


@pytest.mark.parametrize("dtype", [INT8, UINT8, INT16, INT32, INT64, FLOAT32], ids=str)
@pytest.mark.parametrize("index", [INT32, INT16], ids=str)
def test_top_k(dtype, index):
    """Values, then positions: the function's second output is checked like a first one."""
    sites = [_largest(shape, k, dtype, index) for shape, k in [((1, 1), 1), ((4, 9), 1), ((3, 12), 5), ((2, 8), 8)]]
    kernels = [top_k(site, M7) for site in sites]
    compile_together([each for kernel in kernels if kernel for each in (kernel, _values_first(kernel))])
    for site, kernel in zip(sites, kernels, strict=True):
        assert kernel is not None
        op, sig = site.node.op, site.sig
        (x,), k = sig.inputs, op.k
        data = random_values(x, np.random.default_rng(k))
        data[..., ::2] = data[..., :1]  # equals
        expected = op.evaluate(sig, [data])
        spare = [np.zeros(t.shape, t.dtype.carrier) for t in sig.outputs]
        np.testing.assert_array_equal(run_kernel(kernel, [data, spare[0]], sig.outputs[1], sanitize=True), expected[1])
        first = _values_first(kernel)
        np.testing.assert_array_equal(run_kernel(first, [data, spare[1]], sig.outputs[0], sanitize=True), expected[0])


def _largest(shape, k, dtype, index):
    x, op = TensorType(shape, dtype), TopK(k, index)
    (values, _), (places, _) = op.infer([x])
    sig = Signature((x,), (TensorType(values, dtype), TensorType(places, index)))
    return Site(Node("layer", op, ("x",), ("y", "z")), sig, (None,))


def _values_first(kernel):
    """The same with the order of the two outputs changed, so that the harness returns the other one."""
    function = kernel.function
    x, values, positions = function.parameters
    return replace(kernel, function=replace(function, parameters=(x, positions, values)))
