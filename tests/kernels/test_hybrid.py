"""Layers of float activations and int8 weights: C against definitions, to the last bit of their floats."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.test_dsp import pairs, quick
from tests.kernels.test_mve import M55
from tests.ops.test_hybrid import activations_of
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, check_all, site_of
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Op, Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Factory
from tinycompile.kernels.hybrid_layers import helium, lanes, portable
from tinycompile.ops._arithmetic import hybrid
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.transpose_conv import TransposeConv
from tinycompile.targets import Core


def layer(op: Op, x: tuple[int, ...], weights: tuple[int, ...], *, scales: int = 0, biased: bool = True) -> Site:
    """A node with random constants; `scales` of the weights, 0 for one per output channel."""
    rng, axis = np.random.default_rng(sum(x)), 3 if isinstance(op, DepthwiseConv2D) else 0
    channels = weights[axis]
    scale = rng.uniform(0.001, 0.01, scales or channels).astype(np.float32)
    quant = Quantization(scale, np.zeros(scale.size, np.int64), None if scales == 1 else axis)
    values = rng.integers(-128, 128, weights).astype(np.int8)
    types, constants = [TensorType(x, FLOAT32), TensorType(weights, INT8, quant)], [None, values]
    if biased:
        types.append(TensorType((channels,), FLOAT32))
        constants.append(rng.normal(0, 1, channels).astype(np.float32))
    return site_of(op, types, constants, TensorType((), FLOAT32))


PADDED = (1, 0, 2, 1)
LAYERS = [
    layer(FullyConnected(), (3, 37), (9, 37)),
    layer(FullyConnected(bounds=(0, 6), asymmetric=True), (5, 16), (4, 16)),
    layer(FullyConnected(asymmetric=True), (2, 1, 35), (3, 35), scales=1, biased=False),
    layer(Conv2D((1, 2), (2, 1), PADDED, bounds=(-1, 1)), (1, 9, 8, 3), (5, 3, 2, 3)),
    layer(Conv2D((2, 1), (1, 1), PADDED), (2, 7, 6, 4), (6, 2, 3, 2)),
    layer(Conv2D((1, 1), (1, 1), (0, 0, 0, 0)), (1, 4, 3, 20), (8, 1, 1, 20), scales=1),
    layer(DepthwiseConv2D((2, 1), (1, 2), PADDED, bounds=(0, np.inf)), (2, 6, 7, 3), (1, 3, 2, 6)),
    layer(DepthwiseConv2D((1, 2), (2, 1), PADDED), (1, 6, 7, 8), (1, 3, 2, 8)),
    layer(DepthwiseConv2D((2, 2), (1, 1), PADDED), (1, 9, 8, 1), (1, 4, 3, 6)),
    layer(TransposeConv((8, 9), (2, 3), cut=(1, 0)), (2, 4, 3, 5), (6, 3, 3, 5)),
]


def cases() -> list[tuple[Factory, Site]]:
    """Of a core with DSP extension."""
    return [(factory, site) for factory in (portable, lanes) for site in LAYERS if factory(site, M7) is not None]


def helium_cases() -> list[tuple[Factory, Site]]:
    return [(helium, site) for factory, site in cases() if factory is lanes]


@pytest.mark.parametrize("factory", [portable, lanes, helium])
def test_on_the_host(factory: Factory) -> None:
    sites = [site for each, site in (*cases(), *helium_cases()) if each is factory]
    check_all(factory, sites, M55 if factory is helium else M7)


@quick
@given(pairs, pairs, pairs, st.integers(1, 6), st.integers(1, 9), st.integers(1, 2), st.booleans())
def test_convolutions(kernel, stride, dilation, depth, outputs, batch, one_scale):
    op = Conv2D(stride, dilation, PADDED)
    check(lanes, layer(op, (batch, 7, 8, depth), (outputs, *kernel, depth), scales=int(one_scale)))


@pytest.mark.parametrize("asymmetric", [False, True])
def test_rows_of_every_kind(asymmetric: bool) -> None:
    """A thousand rows, with zeros, halves and every magnitude that doesn't overflow; the output shows each integer."""
    rng = np.random.default_rng(0)
    x = activations_of(rng, (1000, 24)) * np.float32(10.0) ** rng.integers(-30, 30, (1000, 1)).astype(np.float32)
    site = layer(FullyConnected(asymmetric=asymmetric), x.shape, (24, 24), scales=1, biased=False)
    site = replace(site, constants=(None, np.eye(24, dtype=np.int8)))
    kernel = portable(site, M7)
    assert kernel is not None
    (expected,) = site.node.op.evaluate(site.sig, [x, site.constant(1)])
    np.testing.assert_array_equal(run_kernel(kernel, [x, None], site.sig.output, sanitize=True), expected)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, 3e38, 1e-44])
def test_what_is_no_ordinary_number_does_no_harm(value: float) -> None:
    """The results may be anything; nothing is read or written elsewhere, and no conversion is undefined."""
    site = layer(FullyConnected(asymmetric=True), (2, 8), (4, 8))
    x = np.array([[value] * 8, [value, -value, 0, 1, 2, 3, 4, value]], np.float32)
    kernel = portable(site, M7)
    assert kernel is not None
    run_kernel(kernel, [x, None, None], site.sig.output, sanitize=True)


@pytest.mark.parametrize(
    ("isa", "target", "flags"),
    [
        (M7, "mps2-an500", None),
        (core_named("cortex-m3"), "mps2-an385", None),
        (core_named("cortex-m0"), "mps2-an385", ("-mcpu=cortex-m0", "-mthumb")),
        (M55, "mps3-an547", None),
    ],
    ids=lambda value: value.name if isinstance(value, Core) else "",
)
def test_on_cores(isa: Core, target: str, flags: tuple[str, ...] | None) -> None:
    found = helium_cases() if isa.has("mve") else cases() if isa.has("dsp") else cases()[: len(LAYERS)]
    check_emulated(found, target, isa=isa, core=flags)


@pytest.mark.parametrize("site", LAYERS)
def test_kernels_of_floats_leave_them_alone(site: Site) -> None:
    """What takes float weights would read integers."""
    assert hybrid.is_hybrid(site.sig)
    assert all("hybrid" in kernel.variant for kernel in kernels_of(site, M7))
