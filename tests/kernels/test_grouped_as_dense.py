"""Convolutions with groups, offered as convolutions of one group."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.test_dsp import layer
from tests.support.cores import core_named
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.grouped_as_dense import MOST_GROUPS, as_one_group
from tinycompile.ops.conv2d import Conv2D

M7 = core_named("cortex-m7", dsp=True)


def site_of(groups: int, outputs: int, depth: int, seed: int) -> Site:
    op = Conv2D((2, 1), (1, 1), (1, 0, 2, 1), (-100, 90))
    return layer(op, (1, 7, 6, groups * depth), (groups * outputs, 3, 2, depth), 0, seed)


@pytest.mark.parametrize(("groups", "outputs", "depth"), [(2, 3, 4), (4, 1, 2), (MOST_GROUPS, 2, 1)])
def test_the_same_results(groups: int, outputs: int, depth: int) -> None:
    site = site_of(groups, outputs, depth, seed=groups)
    other = as_one_group(site)
    assert other is not None and isinstance(other.node.op, Conv2D) and other.node.op.groups(other.sig) == 1
    x = np.random.default_rng(groups).integers(-128, 128, site.sig.input.shape).astype(np.int8)
    (one,) = site.node.op.evaluate(site.sig, [x, *site.constants[1:]])
    (two,) = other.node.op.evaluate(other.sig, [x, *other.constants[1:]])
    assert np.array_equal(one, two)


@pytest.mark.parametrize("groups", [1, MOST_GROUPS + 1])
def test_not_without_groups_or_with_many(groups: int) -> None:
    assert as_one_group(site_of(groups, 2, 2, seed=0)) is None


def test_the_kernels_of_one_group_are_offered() -> None:
    """Whose C is checked where they are; `test_the_same_results` says that these are their operands."""
    assert "conv2d_lane" in {kernel.variant for kernel in kernels_of(site_of(2, 3, 4, seed=1), M7)}
