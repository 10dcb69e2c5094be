"""int16 activations on cores with and without a long multiplication."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, site_of
from tinycompile.dtypes import INT8, INT16, INT32, INT64, DType
from tinycompile.ir import Op, Quantization, Site, TensorType
from tinycompile.kernels import wide_lanes, wide_layers, wide_ops, wide_pairs
from tinycompile.kernels.base import Factory
from tinycompile.ops._arithmetic.wide import HIGH, LOW
from tinycompile.ops.add import Add
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.softmax import Softmax
from tinycompile.ops.sub import Sub
from tinycompile.ops.tanh import Tanh

CLAMP = (LOW, HIGH)


def wide(shape: Sequence[int], scale: float = 0.001) -> TensorType:
    return TensorType(tuple(shape), INT16, Quantization.per_tensor(scale, 0))


def layer(op: Op, x: Sequence[int], weights: Sequence[int], outputs: int, bias: DType) -> Site:
    rng = np.random.default_rng(outputs)
    w = TensorType(tuple(weights), INT8, Quantization.per_tensor(0.01, 0))
    b = TensorType((outputs,), bias)
    values = rng.integers(-128, 128, weights).astype(np.int8), rng.integers(-(2**20), 2**20, outputs)
    constants = [None, values[0], values[1].astype(bias.carrier)]
    return site_of(op, [wide(x), w, b], constants, wide((1,), 0.02))


def cases() -> list[tuple[Factory, Site]]:
    conv, depthwise = Conv2D(padding=(1, 0, 1, 1), clamp=CLAMP), DepthwiseConv2D((1, 2), (2, 1), clamp=CLAMP)
    found: list[tuple[Factory, Site]] = [
        (wide_layers.conv2d, layer(conv, (1, 5, 6, 3), (6, 2, 3, 3), 6, bias)) for bias in (INT64, INT32)
    ]
    found.append((wide_layers.depthwise, layer(depthwise, (1, 5, 6, 3), (1, 2, 3, 6), 6, INT64)))
    found.append((wide_layers.fully_connected, layer(FullyConnected(CLAMP), (2, 600), (5, 600), 5, INT64)))
    found.append((wide_ops.binary, site_of(Add(CLAMP), [wide((4, 5)), wide((4, 1))], [None, None], wide((1,), 0.002))))
    found.append((wide_ops.mean, site_of(Mean((1,), False), [wide((4, 5, 3))], [None], wide((1,)))))
    found.append((wide_ops.softmax, site_of(Softmax(), [wide((4, 9))], [None], wide((1,), 2.0**-15))))
    found.append((wide_ops.interpolated, site_of(Tanh(), [wide((300,), 0.0003)], [None], wide((1,), 2.0**-15))))
    pools = (AveragePool2D((2, 3), (1, 2), clamp=CLAMP), MaxPool2D((2, 3), (1, 2), clamp=CLAMP))
    found.extend((wide_ops.pool2d, site_of(op, [wide((1, 5, 7, 3))], [None], wide((1,)))) for op in pools)
    found.append((wide_ops.rescale, site_of(Relu((0, HIGH)), [wide((4, 9))], [None], wide((1,), 0.0007))))
    return found


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


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m7"])
def test_short_forms(core: str) -> None:
    target = "mps2-an500" if core == "cortex-m7" else "mps2-an385"
    check_emulated(short_forms(), target, core=None if core == "cortex-m7" else [f"-mcpu={core}", "-mthumb"])


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
    """Factors above 1, and a product of the lowest values that twice rounded isn't what it is saturated."""
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


@pytest.mark.parametrize("index", range(len(dual_products())))
def test_dual_products(index: int) -> None:
    check(*dual_products()[index])


def test_sums_that_leave_32_bits_have_no_dual_products() -> None:
    """2^15 * 128 * 512 is 2^31."""
    factory = wide_lanes.fully_connected_wide_lanes
    for inputs, fits in ((511, True), (512, False)):
        t = [wide((1, inputs)), TensorType((1, inputs), INT8, Quantization.per_tensor(0.01, 0))]
        weights = np.full((1, inputs), -128, np.int8)
        assert (factory(site_of(FullyConnected(CLAMP), t, [None, weights], wide((1,), 0.9)), M7) is not None) == fits


@pytest.mark.parametrize("core", ["cortex-m0", "cortex-m3", "cortex-m7"])
def test_on_emulated_cores(core: str) -> None:
    """Code for a smaller core runs on a larger one."""
    target = "mps2-an500" if core == "cortex-m7" else "mps2-an385"
    check_emulated(
        cases() + (dual_products() if core == "cortex-m7" else []),
        target,
        core=None if core == "cortex-m7" else [f"-mcpu={core}", "-mthumb"],
    )
