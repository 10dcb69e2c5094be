"""Functions of two int16 tensors by ONNX's rule: in float, or as a real number in integers wherever that decides."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log2

import numpy as np

from tinycompile.dtypes import INT16
from tinycompile.ir import Signature, Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_of, element_overlap, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, range_fields, struct_call
from tinycompile.ops._elementwise import DequantizedBinary
from tinycompile.ops.add import Add
from tinycompile.ops.div import Div
from tinycompile.ops.maximum import Maximum
from tinycompile.ops.minimum import Minimum
from tinycompile.ops.mul import Mul
from tinycompile.ops.prelu import Prelu
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core

_UNIT = 2.0**-24 * (1 + 2.0**-20)
"""The relative error of a float32 operation, with some room for products of several."""
_DROPPED = 2
"""Bits of a product that aren't looked at."""
_FRACTION = 28
"""At most so many bits behind the point are looked at,"""
_MOST_FRACTION = 44
"""and so many computed: numbers and zero points then fit in 64 bits."""
_NORMAL = (2.0**-80, 2.0**60)
"""Scales for which no operation overflows, and none makes a number that an FPU may flush to 0."""
_LARGEST = 2.0**30
"""Numbers, in outputs, that still fit in 32 bits."""
_FEWEST = 0.25
"""If more of the numbers are near a tie, floats are no dearer."""


@dataclass(frozen=True)
class RealForm:
    """Members of a `tc_wide_onnx_form`."""

    offset: int
    first: int
    second: int
    drop: int
    fraction: int
    near: int

    @property
    def in_floats(self) -> float:
        """The share of numbers near a tie."""
        return 2 * self.near / (1 << self.fraction)


def real_form(op: DequantizedBinary, sig: Signature) -> RealForm | None:
    """The real number of a sum, a difference or a product with bounds of all errors; None where there is none."""
    a, b = sig.inputs
    scales = [float(t.scale) for t in (a, b, sig.output)]
    if not isinstance(op, Add | Sub | Mul) or not all(_NORMAL[0] < scale < _NORMAL[1] for scale in scales):
        return None
    zero = sig.output.zero_point
    reach = [max(abs(n - t.zero_point) for n in t.dtype.range) for t in (a, b)]
    # Beyond these results saturate; one more, since what is compared are numbers and not results.
    inside = max(abs(n - zero) for n in op.clamp) + 1
    if isinstance(op, Mul):
        ratios = [scales[0] * scales[1] / scales[2] * 2**_DROPPED]
        largest = min(reach[0] * reach[1] * ratios[0], inside)
        error = 4 * _UNIT * largest + ratios[0]
        factors = [reach[0] * reach[1] / 2**_DROPPED]
    else:
        ratios = [scales[0] / scales[2], scales[1] / scales[2] * (-1 if isinstance(op, Sub) else 1)]
        sides = [n * abs(ratio) for n, ratio in zip(reach, ratios, strict=True)]
        error = _UNIT * (sum(sides) + 2 * min(sum(sides), inside))
        factors = reach
    most = _MOST_FRACTION if isinstance(op, Mul) else _FRACTION
    if sum(n * abs(r) for n, r in zip(factors, ratios, strict=True)) >= _LARGEST:
        return None
    computed = min(most, 30 - floor(log2(max(abs(r) for r in ratios))) - 1)
    if computed < 1:
        return None
    one, drop = 1 << computed, max(0, computed - _FRACTION)
    numbers = [round(ratio * one) for ratio in ratios]
    # Ratios in float64, and numbers rounded to integers.
    error += sum(n * (0.5 / one + abs(r) * 2.0**-50) for n, r in zip(factors, ratios, strict=True))
    offset = (zero << computed) + (one >> 1)
    if not isinstance(op, Mul):
        offset -= sum(t.zero_point * n for t, n in zip((a, b), numbers, strict=True))
    fraction = computed - drop
    form = RealForm(offset, numbers[0], numbers[-1], drop, fraction, ceil(error * (1 << fraction)) + 1)
    return form if form.in_floats < _FEWEST else None


def _kernel(site: Site, name: str, form: RealForm, each: float, variant: str, requantisation: str) -> Kernel | None:
    """`tc_wide_onnx_<name>`; None for shapes with more loops than it has."""
    op, sig, shape = site.node.op, site.sig, broadcast_of(site)
    if not isinstance(op, DequantizedBinary | Prelu) or shape is None:
        return None
    a, b = sig.inputs
    fields = {
        "a_scale": np.float32(a.scale),
        "b_scale": np.float32(1 if b.quant is None else b.scale),
        "output_scale": np.float32(sig.output.scale),
        "a_zero_point": a.zero_point,
        "b_zero_point": 0 if b.quant is None else b.zero_point,
        "range": range_fields(sig.output.zero_point, op.clamp),
        "offset": form.offset,
        "first": form.first,
        "second": form.second,
        "drop": form.drop,
        "fraction": form.fraction,
        "near": form.near,
    }
    function = struct_call(
        f"wide_{op.kind}_{sig.output.elements}",
        f"tc_wide_onnx_{name}",
        "tc_wide_onnx.h",
        operand_parameters(site),
        (Struct("tc_wide_onnx_form", fields, "form"), shape.struct),
        f"{op.kind} of 16-bit values.",
        ("a", "b", "output"),
    )
    return Kernel(
        f"{op.kind}_wide_{variant}",
        function,
        operand_constants(site),
        instructions=30 + shape.runs * (20 + round(each * shape.run)),
        code_bytes=250,
        overlap=element_overlap(site),
        notes={"requantisation": requantisation},
    )


@kernel_for(Add, Sub, Mul, Div, Minimum, Maximum, Prelu, dtype=INT16)
def in_floats(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_onnx_<kind>`."""
    op = site.node.op
    if not isinstance(op, DequantizedBinary | Prelu) or op.rule != "onnx":
        return None
    each = _float_instructions(core)
    return _kernel(site, op.kind, RealForm(0, 0, 0, 0, 0, 0), each, "onnx", "float32, rounded once")


@kernel_for(Add, Sub, Mul, dtype=INT16)
def in_integers(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_onnx_short_<kind>`; None where there is no form."""
    op = site.node.op
    form = real_form(op, site.sig) if isinstance(op, DequantizedBinary) and op.rule == "onnx" else None
    if form is None:
        return None
    each = (18 if core.has("long_multiply") else 90) + form.in_floats * _float_instructions(core)
    return _kernel(site, f"short_{op.kind}", form, each, "onnx_short", "64 bits, float32 near ties")


def _float_instructions(core: Core) -> int:
    return 28 if core.has("fpu") else 450
