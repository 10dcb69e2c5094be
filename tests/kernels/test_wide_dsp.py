"""int16 activations by dual products, and by the short rounding of factors that are right shifts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels import test_wide_onnx
from tests.kernels.test_wide import CLAMP, layer, wide
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, check_cases, site_of
from tinycompile.dtypes import INT8, INT16, INT32, INT64
from tinycompile.ir import Op, Quantization, Site, TensorType
from tinycompile.kernels import wide_lanes, wide_ops, wide_pairs
from tinycompile.kernels.base import Factory
from tinycompile.ops._arithmetic.wide import HIGH, LOW
from tinycompile.ops.add import Add
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub

DSP = [
    (Conv2D(padding=(1, 0, 1, 1), clamp=CLAMP), (1, 5, 7, 3), (6, 2, 3, 3)),
    (Conv2D(clamp=CLAMP), (1, 4, 5, 8), (5, 1, 1, 8)),
    (Conv2D(clamp=(0, HIGH)), (1, 1, 2, 4), (2, 1, 1, 4)),
    (Conv2D((2, 2), (2, 2), padding=(1, 1, 2, 1), clamp=(0, 20000)), (1, 7, 8, 2), (3, 3, 3, 2)),
    (DepthwiseConv2D((1, 2), (2, 1), padding=(1, 2, 0, 1), clamp=CLAMP), (1, 6, 7, 6), (1, 3, 3, 6)),
    (DepthwiseConv2D(clamp=(0, HIGH)), (1, 4, 4, 2), (1, 2, 2, 2)),
    (FullyConnected(CLAMP), (4, 30), (5, 30)),
    (FullyConnected(CLAMP), (1, 16), (4, 16)),
]


SHORT = [
    (op, shapes, scales, y)
    for op in (Add(CLAMP), Sub((-9000, HIGH)), Mul(CLAMP))
    for shapes in (((4, 5), (4, 5)), ((2, 3, 4), (4,)), ((3, 1), (1, 7)), ((1, 9), (5, 1)))
    for scales, y in (((0.001, 0.0007), 0.0013), ((0.001, 0.001), 0.0005 if isinstance(op, Mul) else 0.004))
]
RESCALED = [
    (LeakyRelu(0.1), 0.001),
    (LeakyRelu(0.7), 0.003),
    (Relu((0, HIGH)), 0.001),
    (Relu((0, 9000)), 0.0023),
    (Quantize(INT16), 0.01),
]


def short_forms() -> list[tuple[Factory, Site]]:
    """Factors that are right shifts; the ends of the range are among random values."""
    found = list[tuple[Factory, Site]]()
    for op, shapes, scales, y in SHORT:
        inputs = [wide(shape, scale) for shape, scale in zip(shapes, scales, strict=True)]
        found.append((wide_pairs.pairs, site_of(op, inputs, [None, None], wide((1,), y))))
    for op, y in RESCALED:
        found.append((wide_pairs.signs, site_of(op, [wide((3, 67))], [None], wide((1,), y))))
    return found


def test_on_emulated_cores() -> None:
    """Code for a smaller core runs on a larger one."""
    check_emulated([*short_forms(), *dual_products(), *test_wide_onnx.dual_products()])
    check_emulated(short_forms(), "mps2-an385", core=["-mcpu=cortex-m0", "-mthumb"])


@pytest.mark.parametrize("op", [Relu((LOW, HIGH)), LeakyRelu(0.3)])
def test_short_factors_of_every_value(op: Op) -> None:
    """All 65,536, by factors of any shift."""
    values = np.arange(LOW, HIGH + 1, dtype=np.int16)
    for y in (0.0011, 0.0019, 0.01, 0.4):
        site = site_of(op, [wide(values.shape)], [None], wide((1,), y))
        kernel = wide_pairs.signs(site, M7)
        assert kernel is not None
        (expected,) = op.evaluate(site.sig, [values])
        np.testing.assert_array_equal(run_kernel(kernel, [values], site.sig.output), expected)


def test_long_forms_are_left_to_others() -> None:
    """Factors above 1."""
    for op, y in ((LeakyRelu(0.7), 0.0003), (Relu((0, HIGH)), 0.0002)):
        assert wide_pairs.signs(site_of(op, [wide((9,))], [None], wide((1,), y)), M7) is None
    assert wide_pairs.pairs(site_of(Mul(CLAMP), [wide((9,), 0.9)] * 2, [None, None], wide((1,), 0.5)), M7) is None


def dual_products() -> list[tuple[Factory, Site]]:
    """Sums that are rounded once and twice."""
    factories: dict[type[Op], Factory] = {
        Conv2D: wide_lanes.conv2d_wide_lanes,
        DepthwiseConv2D: wide_lanes.depthwise_wide_planes,
        FullyConnected: wide_lanes.fully_connected_wide_lanes,
    }
    return [
        (factories[type(op)], layer(op, x, w, w[3] if isinstance(op, DepthwiseConv2D) else w[0], bias))
        for op, x, w in DSP
        for bias in ((INT64, INT32) if isinstance(op, Conv2D) else (INT64,))
    ]


def test_dual_products() -> None:
    check_cases(dual_products())


def test_sums_that_leave_32_bits_have_no_dual_products() -> None:
    """2^15 * 128 * 512 is 2^31."""
    factory = wide_lanes.fully_connected_wide_lanes
    for inputs, fits in ((511, True), (512, False)):
        t = [wide((1, inputs)), TensorType((1, inputs), INT8, Quantization.per_tensor(0.01, 0))]
        weights = np.full((1, inputs), -128, np.int8)
        assert (factory(site_of(FullyConnected(CLAMP), t, [None, weights], wide((1,), 0.9)), M7) is not None) == fits


@pytest.mark.parametrize("scale", [2.0**-16, 0.0007, 0.01])
def test_softmax(scale: float) -> None:
    """Distances by factors above and below 1; its exponentials stay in the output, which may be the input's memory."""
    site = site_of(Softmax(), [wide((5, 300), scale)], [None], wide((1,), 2.0**-15))
    check(wide_ops.softmax, site)
