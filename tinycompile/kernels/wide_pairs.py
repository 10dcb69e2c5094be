"""Sums, differences and products of int16 tensors, and factors for each sign, where all factors are right shifts."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_of, element_overlap, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Fields, Struct, struct_call
from tinycompile.kernels.wide_ops import Factor, Rescaling, only_factor
from tinycompile.numerics.fixed_point import INT32_MAX, multiply_by_quantized_multiplier
from tinycompile.ops._sum import Sum
from tinycompile.ops.add import Add
from tinycompile.ops.leaky_relu import LeakyRelu
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.relu import Relu
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core

_SHIFTED = 15
"""Sums' operands are this many bits to the left, and one more where twice the value is wanted."""
_ONE: Factor = (0, 0)
_IDENTITY: Factor = (1 << 30, 1)
_MOST_RIGHT = 30
_NOTES = {"requantisation": "smmlar"}


@kernel_for(Add, Sub, Mul, dtype=INT16)
def pairs(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_pairs`; None where a factor is none of its, and for shapes with more loops than it has."""
    op, sig, shape = site.node.op, site.sig, broadcast_of(site)
    if not isinstance(op, Sum | Mul) or op.rule != "tflite" or shape is None:
        return None
    if isinstance(op, Sum):
        p = op.parameters(sig)
        factors = [p.first, p.second, p.output]
        if p.left_shift != _SHIFTED:
            return None
    else:
        rule = op.requant(sig)
        factors = [_ONE, _ONE, only_factor(rule)]
        if not _saturates_alike(factors[2]):
            return None
    if not all(_is_right(factor) for factor in factors):
        return None
    first, second, output = map(_fields, factors)
    fields = {"first": first, "second": second, "output": output, "low": op.clamp[0], "high": op.clamp[1]}
    function = struct_call(
        f"wide_{op.kind}_{sig.output.elements}",
        "tc_wide_pairs",
        "tc_wide_pairs.h",
        operand_parameters(site),
        (Struct("tc_wide_pairs_form", fields, "form"), shape.struct),
        f"{op.kind} of 16-bit values.",
        ("a", "b", "output", f"tc_wide_pair_{op.kind}"),
    )
    each = (9 if isinstance(op, Mul) else 13) + _products(core) * (1 if isinstance(op, Mul) else 3)
    return Kernel(
        f"{op.kind}_wide_short",
        function,
        operand_constants(site),
        instructions=30 + shape.runs * (20 + each * shape.run),
        code_bytes=250,
        overlap=element_overlap(site),
        notes=_NOTES,
    )


@kernel_for(Relu, LeakyRelu, Quantize, dtype=INT16)
def signs(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_signs`; None where a factor is none of its, and for another type of output."""
    op, sig, rescaling = site.node.op, site.sig, Rescaling.of(site)
    if rescaling is None:
        return None
    positive, negative, low, high = rescaling
    if not all(_is_right(factor) or factor == _IDENTITY for factor in (positive, negative)):
        return None
    fields = {"count": sig.output.elements, "positive": _fields(positive), "negative": _fields(negative)}
    function = struct_call(
        f"wide_{op.kind}_{sig.output.elements}",
        "tc_wide_signs",
        "tc_wide_pairs.h",
        ("const int16_t *input", "int16_t *output"),
        (Struct("tc_wide_signs_shape", {**fields, "low": low, "high": high}),),
        f"{op.kind} of 16-bit values.",
    )
    each = 11 + _products(core) + 3 * (positive != negative)
    return Kernel(
        f"{op.kind}_wide_short",
        function,
        instructions=20 + sig.output.elements * each,
        code_bytes=100,
        overlap={0: 0},
        notes=_NOTES,
    )


def _is_right(factor: Factor) -> bool:
    return -_MOST_RIGHT <= factor[1] <= 0


def _fields(factor: Factor) -> Fields:
    """Members of a `tc_wide_short`."""
    return {"multiplier": factor[0], "right": -factor[1]}


def _products(core: Core) -> int:
    """Instructions of a high product beyond one."""
    return 0 if core.has("dsp") else 4 if core.has("long_multiply") else 30


def _saturates_alike(factor: Factor) -> bool:
    """Whether 2^31 - 1 for twice the product of -2^15 and itself gives its result."""
    multiplier, shift = factor
    if not _is_right(factor):
        return False
    high = (INT32_MAX * multiplier + 2**31) >> 32
    half = 1 << (-shift - 1) if shift else 0
    right = multiply_by_quantized_multiplier(np.array([2**30]), np.array([multiplier]), np.array([shift]))
    return (high + half) >> -shift == int(right[0])
