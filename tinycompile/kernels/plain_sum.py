"""ADD and SUB element by element, for cores without SIMD that have registers for it (docs/kernels.md)."""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.sum_kernel import sum_kernel
from tinycompile.ops.add import Add
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core


@kernel_for(Add, Sub, needs={"many_registers", "long_multiply"}, unless={"dsp"})
def plain_sum(site: Site, core: Core) -> Kernel | None:
    """Operands of the same shape, whose sum is linear in 32 bits."""
    return sum_kernel(site, "plain", "tc_sum_plain_s8", "tc_sum_plain.h", _instructions, 250)


def _instructions(count: int) -> int:
    return 30 + count // 4 * 50 + count % 4 * 14
