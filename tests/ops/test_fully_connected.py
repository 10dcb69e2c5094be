"""FULLY_CONNECTED against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.convolutions import fitting_scale, weight_scales
from tests.ops.floats import check_float, normal
from tests.ops.oracle import activations, check, full_range, only_site, seeds, thorough, zero_points
from tests.support.cores import core_named
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tests.support.kernel_checks import check as check_kernel
from tests.support.tflite_builder import NO_TENSOR, TfliteBuilder
from tinycompile.dtypes import INT8, INT16
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.kernels import float_fused, kernels_of
from tinycompile.kernels.float_layers import fully_connected
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.ops.fully_connected import FullyConnected


@thorough
@given(
    st.integers(1, 3), st.integers(1, 90), st.integers(1, 20), activations, zero_points, zero_points,
    st.booleans(), st.booleans(), seeds,
)  # fmt: skip
def test_random(rows, inputs, outputs, activation, zx, zy, per_channel, biased, seed):
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    w_scale = weight_scales(rng, outputs, per_channel)
    x = b.tensor((rows, inputs), 0.3, zx)
    w = b.constant(full_range(rng, (outputs, inputs)), w_scale)
    bias = b.constant(rng.integers(-5000, 5000, outputs).astype(np.int32), np.float32(0.3) * w_scale)
    y = b.tensor((rows, outputs), fitting_scale(0.3 * w_scale, inputs), zy)
    b.op("FULLY_CONNECTED", [x, w, bias if biased else NO_TENSOR], [y], FusedActivationFunction=activation)
    check(b, [y], {x: full_range(rng, (rows, inputs))})


@pytest.mark.parametrize(
    ("x_shape", "y_shape", "keep"), [((1, 3, 4, 2), (4, 6), False), ((1, 3, 2, 6), (1, 3, 2, 6), True)]
)
def test_flattens(x_shape, y_shape, keep):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x = b.tensor(x_shape, 0.3, 7)
    w = b.constant(full_range(rng, (6, 6)), 0.02)
    y = b.tensor(y_shape, 0.9, 1)
    b.op("FULLY_CONNECTED", [x, w, NO_TENSOR], [y], KeepNumDims=keep)
    graph = check(b, [y], {x: full_range(rng, x_shape)})
    assert [node.op.kind for node in graph.nodes].count("fully_connected") == 1


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("factor", [2.0**-n for n in range(-2, 12)] + [0.1, 1 / 98, 0.3, 3.7, 100.0, 1e-5])
def test_ties(factor, per_channel):
    """The accumulator is the bias, which sweeps the output's range: halves go away from zero."""
    span = int(130 / factor) + 2
    acc = np.unique(np.linspace(-span, span, 1501).astype(np.int32))
    b = TfliteBuilder()
    x = b.tensor((1, 1), 1.0, 0)
    w = b.constant(np.zeros((acc.size, 1), np.int8), [1.0] * acc.size if per_channel else 1.0)
    bias = b.constant(acc, [1.0] * acc.size if per_channel else 1.0)
    y = b.tensor((1, acc.size), 1 / factor, 5)
    b.op("FULLY_CONNECTED", [x, w, bias], [y])
    check(b, [y], {x: np.zeros((1, 1), np.int8)})


def test_integer_form_has_the_same_thresholds():
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x = b.tensor((1, 40), 0.3, 7)
    w = b.constant(full_range(rng, (6, 40)), weight_scales(rng, 6, True))
    y = b.tensor((1, 6), 0.9, 1)
    b.op("FULLY_CONNECTED", [x, w, NO_TENSOR], [y])
    site = only_site(check(b, [y], {x: full_range(rng, (1, 40))}))
    rule = site.node.op.requant(site.sig)
    assert isinstance(rule, RoundedProductRequant)
    assert np.array_equal(rule.thresholds(), rule.fixed_point.thresholds())


def with_weight_zero_point(
    weights: np.ndarray, zero_point: int, scales: float | list[float]
) -> tuple[TfliteBuilder, int, int]:
    b = TfliteBuilder()
    x = b.tensor((3, weights.shape[1]), 0.3, -7)
    w = b.constant(weights, scales, zero_point)
    y = b.tensor((3, weights.shape[0]), 1.4, 11)
    bias = b.constant(np.arange(-300, 300, 100, np.int32), np.float32(0.3) * np.float32(scales))
    b.op("FULLY_CONNECTED", [x, w, bias], [y])
    return b, x, y


@pytest.mark.parametrize("zero_point", [-128, -1, 5, 127])
@pytest.mark.parametrize("spread", [10, 127])
def test_weights_with_a_zero_point(zero_point, spread):
    """Subtracted, as LiteRT does; where the rest doesn't fit in int8 the kernel takes int16."""
    rng = np.random.default_rng(0)
    weights = np.clip(rng.integers(-spread, spread + 1, (6, 40)) + zero_point, -128, 127).astype(np.int8)
    b, x, y = with_weight_zero_point(weights, zero_point, 0.02)
    site = only_site(check(b, [y], {x: full_range(rng, (3, 40))}))
    centred = weights.astype(int) - zero_point
    assert site.sig.inputs[1].dtype == (INT8 if centred.min() >= -128 and centred.max() <= 127 else INT16)
    for core in (core_named("host"), core_named("cortex-m0"), M7, core_named("cortex-m55", dsp=True, mve=True)):
        kernels = kernels_of(site, core)
        assert core.arch == "host" or (len(kernels) > 1) == (site.sig.inputs[1].dtype == INT8)
        check_kernel(lambda s, i: kernels_of(s, i)[0], site, core)


@pytest.mark.parametrize("scales", [[0.02] * 6])
def test_zero_points_per_output_are_refused(scales):
    """LiteRT ignores them."""
    b, x, y = with_weight_zero_point(np.ones((6, 40), np.int8), 5, scales)
    with pytest.raises(UnsupportedError, match="LiteRT refuses or ignores"):
        import_tflite(b.build([x], [y]), "model", "model.tflite")


def test_a_sum_of_so_many_products_that_it_wraps():
    """140,000 products of -128 and -128 are more than 2^31."""
    b, inputs = TfliteBuilder(), 140_000
    x, y = b.tensor((1, inputs), 0.5, 0), b.tensor((1, 2), 1.0, -3)
    weights = np.stack([np.full(inputs, -128, np.int8), np.full(inputs, 1, np.int8)])
    b.op("FULLY_CONNECTED", [x, b.constant(weights, 1e-7), b.constant(np.array([5, -7], np.int32), 5e-8)], [y])
    site = only_site(check(b, [y], {x: np.full((1, inputs), -128, np.int8)}))
    values = [np.full((1, inputs), -128, np.int8), None, None]
    kernels = kernels_of(site, M7)
    (expected,) = site.node.op.evaluate(site.sig, [values[0], *site.constants[1:]])
    for kernel in kernels:
        actual = run_kernel(kernel, values, site.sig.output, sanitize=True)
        np.testing.assert_array_equal(actual, expected, err_msg=kernel.variant)


@pytest.mark.parametrize("shape", [(6,), (3, 6), (2, 3, 6)])
def test_floats(shape):
    weights = normal(5, 6, seed=1)
    check_float(fully_connected, FullyConnected(), [normal(*shape), weights, normal(5, seed=2)], constants=(1, 2))
    check_float(fully_connected, FullyConnected(), [normal(*shape), weights], constants=(1,))
    op = FullyConnected(bounds=(-1, 1))
    for factory in (fully_connected, float_fused.fully_connected):
        check_float(factory, op, [normal(*shape), weights, normal(5, seed=2)], constants=(1, 2))
