"""Elementwise operators that together compute a function of one 8-bit value, as one table of its 256 results."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import OfOneValue, cover_for, parts_of
from tinycompile.kernels.elementwise import lookup
from tinycompile.ops._elementwise import Binary, Unary
from tinycompile.ops.quantize import Quantize
from tinycompile.targets.core import Core

_BYTES = ("int8", "uint8")


@cover_for(OfOneValue(Unary, Binary, Quantize))
def table(site: Site, core: Core) -> Kernel | None:
    """Such as x * sigmoid(x), or a chain of requantisations: their definitions are evaluated for all values of x.

    All but one operand are constants of one element: with one per channel the function would differ by channel.
    """
    op, sig, parts = site.node.op, site.sig, parts_of(site)
    operands = [index for index, _ in site.dynamic_inputs()]
    scalars = all(constant is None or constant.size == 1 for constant in site.constants)
    if len(operands) != 1 or not scalars:
        return None
    x, y = sig.inputs[operands[0]], sig.output
    one_to_one = all(part.sig.output.elements == x.elements for part in parts)
    if not one_to_one or x.dtype not in _BYTES or y.dtype not in _BYTES:
        return None
    values = np.arange(256, dtype=np.uint8).view(x.dtype)
    (entries,) = op.evaluate(sig, [values if constant is None else constant.reshape(1) for constant in site.constants])
    return lookup("fused", x, y, entries, operands[0])
