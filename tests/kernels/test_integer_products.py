"""Products of int8 whose zero points, scales and biases are values of the model: C against definitions, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf

import numpy as np
import pytest

from tests.kernels.test_mve import M55
from tests.support.cores import core_named
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check_all, site_of
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Node, Op, Signature, Site, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.dynamic_quantize import dynamic_quantize
from tinycompile.kernels.integer_products import helium, lanes, pairs, portable
from tinycompile.kernels.integer_triples import triples
from tinycompile.ops.conv_integer import ConvInteger
from tinycompile.ops.dynamic_quantize import DynamicQuantize
from tinycompile.ops.matmul_integer import MatMulInteger
from tinycompile.targets import Core

Shape = tuple[int, ...]


def product(op: Op, x: Shape, y: Shape, sizes: Sequence[int], known: str = "", *, symmetric: bool = False) -> Site:
    """A node with zero points, and perhaps a scale and a bias, of these sizes; 0 is the size of a scalar.

    Args:
        known: constants: "y", "a" (the first zero point), "b" (the second), "s" (scale), "c" (bias).
        symmetric: the second zero point is 0.
    """
    rng, types = np.random.default_rng(sum(x)), [TensorType(x, INT8), TensorType(y, INT8)]
    types += [TensorType((size,) if size else (), INT8 if i < 2 else FLOAT32) for i, size in enumerate(sizes)]
    values: list[np.ndarray | None] = [None]
    for letter, t in zip("yabsc", types[1:], strict=False):
        integers = rng.integers(-128, 128, t.shape) * (0 if letter == "b" and symmetric else 1)
        value = integers.astype(np.int8) if t.dtype == INT8 else np.float32(rng.normal(0, 0.01, t.shape))
        values.append(np.asarray(value) if letter in known else None)
    return site_of(op, types, values, TensorType((), FLOAT32))


PADDED = (1, 0, 2, 1)
PRODUCTS = [
    product(MatMulInteger(), (3, 37), (37, 9), (0, 9), "yb"),
    product(MatMulInteger(), (2, 1, 3, 18), (18, 5), (1, 1, 5, 5), "ybc", symmetric=True),
    product(MatMulInteger(), (5, 16), (16, 3), (1, 1, 0), "yb"),
    product(MatMulInteger(), (2, 3, 7), (2, 7, 6), (0, 6, 1, 1), "y"),
    product(MatMulInteger(), (2, 1, 4, 9), (3, 9, 5), (0, 0)),
    product(ConvInteger((1, 2), (2, 1), PADDED), (1, 9, 8, 3), (5, 3, 2, 3), (0, 1, 0, 5), "ybc", symmetric=True),
    product(ConvInteger((2, 1), (1, 1), PADDED), (2, 7, 6, 4), (6, 2, 3, 2), (0, 6), "yb"),
    product(ConvInteger(), (1, 4, 3, 20), (8, 1, 1, 20), (0, 0, 8, 1), "yabsc"),
    product(ConvInteger((1, 2), bounds=(0.0, 9.0)), (1, 4, 3, 9), (5, 1, 1, 9), (0, 0, 1, 5), "yb", symmetric=True),
    product(MatMulInteger(bounds=(-2.0, inf)), (7, 18), (18, 5), (1, 1, 5), "yb", symmetric=True),
    product(ConvInteger((2, 1), (1, 2), PADDED), (2, 6, 7, 3), (6, 3, 2, 1), (0, 6, 6), "yb"),
    product(ConvInteger((1, 2), (2, 1), PADDED), (1, 6, 7, 8), (8, 3, 2, 1), (0, 1, 8, 8), "ybsc", symmetric=True),
    product(ConvInteger((1, 2), (2, 1), PADDED), (1, 6, 7, 8), (8, 3, 2, 1), (0, 8, 8, 8), "yb"),
]


def cases(factory: Factory, isa: Core) -> list[tuple[Factory, Site]]:
    """The products that a core computes in this way."""
    return [(factory, site) for site in PRODUCTS if factory(site, isa)]


def helium_cases() -> list[tuple[Factory, Site]]:
    return cases(helium, M55)


@pytest.mark.parametrize("factory", [portable, pairs, triples])
def test_in_c(factory: Factory) -> None:
    check_all(factory, PRODUCTS if factory is portable else [site for _, site in cases(factory, M7)])


@pytest.mark.parametrize(("factory", "isa", "target"), [(lanes, M7, "mps2-an500"), (helium, M55, "mps3-an547")])
def test_instructions_of_cores(factory: Factory, isa: Core, target: str) -> None:
    check_emulated(
        [*cases(factory, isa), *(site for f in (pairs, triples) if isa is M7 for site in cases(f, isa))],
        target,
        isa=isa,
    )


def test_cores_without_lanes_have_the_portable_one() -> None:
    assert all(portable(site, core_named("cortex-m0")) for site in PRODUCTS)


def test_zero_points_of_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="its zero point has 2 elements"):
        product(MatMulInteger(), (3, 37), (37, 9), (2, 9), "yb")


def values_like() -> list[np.ndarray]:
    """Around 0 and beside it, zeros, halves of steps, the largest and the smallest numbers: 256 each."""
    rng = np.random.default_rng(3)
    ends = [np.resize(v, 256) for v in ([0.0], [3.0], [1e-40, 0, 2e-38], [-1e30, 2e30, 5e29])]
    return [*ends, np.arange(-100, 156) / 2, rng.normal(0, 3, 256), rng.normal(-5, 1, 256)]


def test_dynamic_quantize() -> None:
    """All three results: the harness returns the last array of a function's parameters."""
    op, data = DynamicQuantize(), np.zeros(256, np.float32)
    types = [TensorType(shape, dtype) for shape, dtype in op.infer([TensorType(data.shape, FLOAT32)])]
    site = Site(
        Node("layer", op, ("x",), ("y", "s", "z")), Signature((TensorType(data.shape, FLOAT32),), tuple(types)), (None,)
    )
    kernel = dynamic_quantize(site, M7)
    assert kernel is not None and kernel.function is not None
    source, *results = kernel.function.parameters
    for index, t in enumerate(types):
        spare = [np.zeros(o.shape, o.dtype.carrier) for i, o in enumerate(types) if i != index]
        order = (source, *(p for i, p in enumerate(results) if i != index), results[index])
        turned = replace(kernel, function=replace(kernel.function, parameters=order))
        for x in values_like():
            data = x.astype(np.float32)
            got = run_kernel(turned, [data, *spare], t, sanitize=True)
            np.testing.assert_array_equal(got, op.evaluate(site.sig, [data])[index])
