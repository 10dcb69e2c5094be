"""Kernels for constant weights with a bias in RAM: cases of the kernels that they are made of, biases of any size."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np

from tests.kernels import test_assembly, test_depthwise_strips, test_depthwise_toeplitz
from tests.support.emulated_kernel import check_emulated
from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Factory
from tinycompile.kernels.trained_bias import OFFERED
from tinycompile.numerics.block_floating import BIAS_LIMIT
from tinycompile.ops._convolution import Convolution
from tinycompile.ops._training.trained_layer import TrainedLayer


@cache
def cases() -> list[tuple[Factory, Site]]:
    """One of every kernel."""
    found = list[tuple[Factory, Site]]()
    known = (*test_assembly.CASES, *test_depthwise_strips.CASES, *test_depthwise_toeplitz.CASES)
    sites = [trained(site) for _, site in known if isinstance(site.node.op, Convolution) and len(site.constants) == 3]
    for number, factory in enumerate(OFFERED.values()):
        taken = [site for site in sites if factory(site, M7) is not None]
        assert taken, factory
        found.append((factory, taken[number % len(taken)]))
    return found


def trained(site: Site) -> Site:
    op = site.node.op
    assert isinstance(op, Convolution)
    return replace(site, node=replace(site.node, op=TrainedLayer(op)), constants=(None, site.constants[1], None))


def operands(site: Site) -> list[Array]:
    """With a bias that leaves outputs where they are, moves them a little or makes them the same for all inputs."""
    rng = np.random.default_rng(0)
    image, channels = site.sig.input, site.sig.output.shape[-1]
    size = rng.choice([0, 3000, 40000, 1 << 20, BIAS_LIMIT], channels)
    bias = np.clip(rng.normal(0, 1, channels) * size, -BIAS_LIMIT, BIAS_LIMIT).astype(np.int32)
    return [rng.integers(-128, 128, image.shape).astype(np.int8), site.constant(1), bias]


def test_in_assembly() -> None:
    check_emulated(cases(), "mps2-an386", operands_of=operands)


def test_strict_alignment() -> None:
    check_emulated(cases(), isa=M7, strict=True, operands_of=operands)


def test_portable() -> None:
    for factory, site in cases()[::4]:
        kernel, (image, weights, bias) = factory(site, M7), operands(site)
        assert kernel is not None
        found = run_kernel(kernel, [image, None, bias], site.sig.output)
        np.testing.assert_array_equal(found, site.node.op.evaluate(site.sig, [image, weights, bias])[0])
