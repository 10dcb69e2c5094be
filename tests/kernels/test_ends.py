"""Kernels of layers whose accumulators wrap, or would, against the definitions: biases at the ends of int32, factors
above 1, dead filters. `tests/ops/test_ends_of_ranges.py` compares the definitions with LiteRT.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.kernel_checks import M7, check, int8, site_of
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Quantization, Site, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Factory
from tinycompile.kernels.generic_conv import conv2d, depthwise, fully_connected
from tinycompile.kernels.pooling import mean as mean_kernel
from tinycompile.kernels.spatial_sum import mean_of_sum
from tinycompile.numerics import requant_solver
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.ops.mean import Mean
from tinycompile.ops.mean_of_sum import MeanOfSum
from tinycompile.ops.mul import Mul
from tinycompile.ops.sub import Sub
from tinycompile.targets import Core

MAX, MIN = 2**31 - 1, -(2**31)
HOST = core_named("host")
CORES = [
    core_named("cortex-m0plus"),
    core_named("cortex-m3"),
    M7,
    core_named("cortex-m55", dsp=True, mve=True, fpu=True),
]
KINDS = ("conv2d", "depthwise", "fully_connected")
OPS = {"conv2d": Conv2D(padding=(1, 1, 1, 1)), "depthwise": DepthwiseConv2D(padding=(1, 1, 1, 1))}


def layer(kind: str, bias: list[int], factor: float, *, dead: list[int], seed: int = 0, zero_point: int = 77) -> Site:
    """Eight inputs, a 3x3 window or none; `dead` filters have no weights."""
    rng, channels = np.random.default_rng(seed), len(bias)
    shape = {"conv2d": (channels, 3, 3, 8), "depthwise": (1, 3, 3, channels), "fully_connected": (channels, 8)}[kind]
    axis = 3 if kind == "depthwise" else 0
    weights = rng.integers(-127, 128, shape).astype(np.int8)
    np.moveaxis(weights, axis, 0)[dead] = 0
    x = {"conv2d": (1, 5, 6, 8), "depthwise": (1, 5, 6, channels), "fully_connected": (3, 8)}[kind]
    types = [
        int8(x, 1.0, zero_point),
        TensorType(shape, INT8, Quantization.per_tensor(factor, 0)),
        TensorType((channels,), INT32),
    ]
    op = OPS.get(kind, FullyConnected())
    return site_of(op, types, [None, weights, np.array(bias, np.int32)], int8((), 1.0, -5))


wrapping = {
    "bias": ([MAX, MIN, MAX - 5000, MIN + 5000, 100, -100, 2**30, 7], 0.004),
    "factor": ([0, 50, -700, 2**28, -(2**28), 2**24, 2**30, -(2**30)], 2.0**5 * 1.1),
    "end of the product": ([MAX, MIN, MAX - 100, MIN + 100, 2**30 - 1, 0, 1, -1], 1 - 2.0**-20),
}


@pytest.mark.parametrize("case", list(wrapping))
@pytest.mark.parametrize(("kind", "factory"), list(zip(KINDS, (conv2d, depthwise, fully_connected), strict=True)))
def test_portable_kernels_wrap_like_the_definition(kind: str, factory: Factory, case: str) -> None:
    check(factory, layer(kind, *wrapping[case], dead=[1]), HOST)


def dead_filters() -> Iterator[tuple[str, Site]]:
    """Two channels whose accumulator is one number at the end of int32, six as usual."""
    for kind in KINDS:
        yield kind, layer(kind, [MAX, 100, -200, 50, MIN, 9, 2000, -70], 0.004, dead=[0, 4], seed=3)


@pytest.mark.parametrize("core", CORES, ids=lambda isa: isa.name)
def test_dead_filters_cost_no_fast_kernel(core: Core) -> None:
    for kind, site in dead_filters():
        variants = {kernel.variant for kernel in kernels_of(site, core)}
        assert len(variants) > 1, (kind, variants)


M0_FLAGS = ["-mcpu=cortex-m0", "-mthumb"]


@pytest.mark.parametrize(
    ("target", "isa", "core"),
    [
        ("mps2-an386", core_named("cortex-m4", dsp=True, fpu=True), None),
        ("mps2-an385", core_named("cortex-m0"), M0_FLAGS),
        ("mps3-an547", core_named("cortex-m55", dsp=True, mve=True, fpu=True), None),
    ],
)
def test_every_kernel_at_the_ends(target: str, isa: Core, core: list[str] | None) -> None:
    """On the emulated cores: portable C where accumulators wrap, everything else beside a dead filter."""
    cases = list[tuple[Factory, Site]]()
    for site in (*(site for _, site in dead_filters()), layer("conv2d", *wrapping["bias"], dead=[1])):
        for index, _ in enumerate(kernels_of(site, isa)):
            cases.append((lambda s, i, index=index: kernels_of(s, i)[index], site))
    check_emulated(cases, target, "-O1", isa=isa, core=core)


@pytest.mark.parametrize("exponent", [20, 24, 28])
def test_other_operators_wrap_like_their_definitions(exponent: int) -> None:
    x, y = int8((1, 3, 4, 6), 1.3, 90), int8((), 2.0**-exponent, -128)
    check(mean_kernel, site_of(Mean((1, 2), True), [x], [None], y), HOST)
    sums = TensorType((1, 1, 1, 6), INT32)
    sums_site = site_of(MeanOfSum(Mean((1, 2), True), x), [sums], [None], y)
    kernel = mean_of_sum(sums_site, HOST)
    assert kernel is not None and kernel.notes["requantisation"] == "exact"
    for op, scale in ((Mul(), 2.0**-exponent), (Sub(), 3 * 2.0**-19)):
        site = site_of(op, [x, int8((1, 3, 4, 6), 1.1, -90)], [None, None], int8((), scale, 127))
        for index, _ in enumerate(kernels_of(site, HOST)):
            check(lambda s, i, index=index: kernels_of(s, i)[index], site, HOST)


ends = st.one_of(st.integers(MAX - 70000, MAX), st.integers(MIN, MIN + 70000), st.integers(-5000, 5000))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(KINDS),
    st.lists(ends, min_size=8, max_size=8),
    st.integers(-34, 29),
    st.integers(-128, 127),
    st.sets(st.integers(0, 7)),
)
def test_every_layer_has_a_kernel(kind: str, bias: list[int], exponent: int, zero: int, dead: set[int]) -> None:
    """No error of the solver comes out, whatever the accumulators are."""
    site = layer(kind, bias, 1.3 * 2.0**exponent, dead=sorted(dead), zero_point=zero)
    for core in CORES:
        assert kernels_of(site, core)


def test_a_solver_that_fails_names_the_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a traceback."""
    monkeypatch.setattr(requant_solver, "prove", lambda *_: "a reason")
    with pytest.raises(UnsupportedError, match=r"conv2d 'layer'.*a reason.*defect of tinycompile"):
        kernels_of(layer("conv2d", [0] * 8, 0.004, dead=[]), M7)
