"""Elementwise operators that together compute a function of one 8-bit value, as one table of its 256 results."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import BOOL, INT8, UINT8
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import OfOneValue, cover_for, parts_of
from tinycompile.kernels.elementwise import lookup
from tinycompile.ops._comparison import Comparison
from tinycompile.ops._elementwise import Binary, RealUnary, Unary
from tinycompile.ops._integers import IntegerUnary
from tinycompile.ops._logical import Logical
from tinycompile.ops.cast import Cast
from tinycompile.ops.dequantize import Dequantize
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.select import Select
from tinycompile.targets.core import Core

FUNCTION = OfOneValue(Unary, RealUnary, IntegerUnary, Binary, Comparison, Logical, Select, Cast, Quantize, Dequantize)


@cover_for(FUNCTION)
def table(site: Site, core: Core) -> Kernel | None:
    """Such as x * sigmoid(x), a chain of requantisations, or floats between DEQUANTIZE and QUANTIZE."""
    found = function_of(site)
    if found is None:
        return None
    operand, entries = found
    return lookup("fused", site.sig.inputs[operand], site.sig.output, entries, operand, core)


def function_of(site: Site) -> tuple[int, Array] | None:
    """(operand, entries) of elementwise operators, one or several, that compute a function of one 8-bit operand.

    The definitions are evaluated for all 256 values of it. All other operands are constants of one element: with one
    per channel the function would differ by channel. None where it's not so.
    """
    op, sig, parts = site.node.op, site.sig, parts_of(site)
    operands = [index for index, _ in site.dynamic_inputs()]
    scalars = all(constant is None or constant.size == 1 for constant in site.constants)
    if len(operands) != 1 or not scalars:
        return None
    x, y = sig.inputs[operands[0]], sig.output
    one_to_one = all(part.sig.output.elements == x.elements for part in parts)
    if not one_to_one or x.dtype not in (INT8, UINT8) or y.dtype not in (INT8, UINT8, BOOL):
        return None
    values: Array = np.arange(256, dtype=np.uint8).view(x.dtype.carrier)
    (entries,) = op.evaluate(sig, [values if constant is None else constant.reshape(1) for constant in site.constants])
    return operands[0], entries
