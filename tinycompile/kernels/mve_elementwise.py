"""Sums of two tensors by Helium, as behind layers (`tc_mve_after.h`)."""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.sum_kernel import sum_kernel
from tinycompile.ops.add import Add
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core


@kernel_for(Add, Sub, needs={"mve"})
def add(site: Site, core: Core) -> Kernel | None:
    """Of the same shape, 8 elements at a time."""
    return sum_kernel(site, "mve", "tc_mve_sum_s8", "tc_mve_after.h", _instructions, 220, ", 8 elements at a time")


def _instructions(count: int) -> int:
    return 40 + 19 * (count // 8) + 22 * (count % 8 > 0)
