"""Functions of a number for each of two 8-bit operands: DIV, SQUARED_DIFFERENCE, comparisons of any scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import INT8, UINT8
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.binary import broadcast_of, element_overlap, operand_constants, operand_parameters
from tinycompile.kernels.factor_form import quotient_form, square_form
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops import all_ops
from tinycompile.ops._comparison import Comparison
from tinycompile.ops._elementwise import Binary
from tinycompile.ops.div import Div
from tinycompile.ops.equal import Equal
from tinycompile.ops.not_equal import NotEqual
from tinycompile.ops.squared_difference import SquaredDifference
from tinycompile.targets.core import Core

_BYTES = np.arange(256, dtype=np.uint8)
_LOOKUP = 256
"""Known operands of more elements are looked up in a table, as computed ones are."""


@dataclass(frozen=True)
class Mapped:
    """A C function that `TC_MAPPED` defines, and what it is called with.

    Attributes:
        ctype: of the numbers.
        numbers: of each operand by its bits, [256]; None where the elements are the numbers.
        form: the function's parameters, or None.
        each: estimated instructions of an element, without loads of operands and numbers.
        requantisation: for the report.
    """

    name: str
    header: str
    ctype: str
    numbers: tuple[Array | None, Array | None]
    form: Struct | None
    each: float
    variant: str
    requantisation: str


def mapped_kernel(site: Site, op: Binary | Comparison, mapped: Mapped) -> Kernel | None:
    """The kernel that calls it; None for shapes with more loops than it has."""
    shape = broadcast_of(site)
    if shape is None:
        return None
    tables, arguments, known = list[Constant](), list[str](), dict[int, Constant]()
    for index, (value, numbers) in enumerate(zip(site.constants, mapped.numbers, strict=True)):
        name = f"{'ab'[index]}_numbers"
        if numbers is None:
            arguments.append("NULL")
        elif value is not None and value.size <= _LOOKUP:
            content = numbers[value.astype(np.int64).ravel() & 0xFF]
            known[index] = Constant(name, mapped.ctype, content, f"of operand {index}, which is known")
            arguments.append("NULL")
        else:
            tables.append(Constant(name, mapped.ctype, numbers, f"of operand {index}, by its bits"))
            arguments.append(name)
    parameters = operand_parameters(site)
    constants = operand_constants(site)
    for index, constant in known.items():
        letter = "ab"[index]
        parameters = tuple(f"const {mapped.ctype} *{letter}" if p.endswith(f"*{letter}") else p for p in parameters)
        constants = tuple(constant if c.suffix == f"operand_{index}" else c for c in constants)
    function = struct_call(
        f"{op.kind}_{site.sig.output.elements}",
        f"tc_{mapped.name}",
        mapped.header,
        (*parameters, *(f"const {mapped.ctype} *{table.suffix}" for table in tables)),
        (*((mapped.form,) if mapped.form else ()), shape.struct),
        f"{op.kind} of two tensors, by a number for each operand.",
        ("a", "b", "output", *arguments, *(() if mapped.form else ("NULL",))),
    )
    return Kernel(
        f"{op.kind}_{mapped.variant}",
        function,
        (*constants, *tables),
        instructions=30 + shape.runs * (20 + round((6 + mapped.each) * shape.run)),
        code_bytes=200,
        overlap=element_overlap(site),
        notes={"requantisation": mapped.requantisation},
    )


def _fast(core: Core, dsp: float, long_multiply: float, neither: float) -> float:
    return dsp if core.has("dsp") else long_multiply if core.has("long_multiply") else neither


def _by_bits(values: Array) -> Array:
    """From the order of int8 values to that of their bits."""
    return np.roll(values, 128).astype(np.int32)


@kernel_for(Div)
def quotient(site: Site, core: Core) -> Kernel | None:
    """`tc_quotient_s8`; None where no factors give the definition's quotients."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Div) or op.rule != "tflite":
        return None
    found = quotient_form(op, sig)
    if found is None:
        return None
    high = _high_fields(found.offset, found.right, op.clamp)
    form = Struct("tc_quotient_form", {"a_zero_point": sig.inputs[0].zero_point, "high": high}, "form")
    numbers, each = (None, _by_bits(found.factors)), _fast(core, 3, 8, 35)
    return mapped_kernel(
        site, op, Mapped("quotient_s8", "tc_div.h", "int32_t", numbers, form, each, "factors", "smmlar")
    )


def _high_fields(offset: int, right: int, clamp: tuple[int, int]) -> Mapping[str, int]:
    """Members of a `tc_high_form`."""
    return {"offset": offset, "right": right, "low": clamp[0], "high": clamp[1]}


@kernel_for(SquaredDifference)
def squared_difference_by_numbers(site: Site, core: Core) -> Kernel | None:
    """`tc_square_s8`; None where no numbers give the definition's squares."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, SquaredDifference):
        return None
    found = square_form(op, sig)
    if found is None:
        return None
    form = Struct("tc_high_form", _high_fields(found.offset, found.right, op.clamp), "form")
    numbers = (_by_bits(found.first), _by_bits(found.second))
    mapped = Mapped(
        "square_s8", "tc_squared_difference.h", "int32_t", numbers, form, _fast(core, 4, 9, 36), "numbers", "smmlar"
    )
    return mapped_kernel(site, op, mapped)


@kernel_for(*(op for op in all_ops().values() if issubclass(op, Comparison)), dtype=None)
def comparison_of_scales(site: Site, core: Core) -> Kernel | None:
    """`tc_bound_*` and `tc_class_*`: 8-bit operands of any scales."""
    op, dtype = site.node.op, site.sig.input.dtype
    if not isinstance(op, Comparison) or dtype not in (INT8, UINT8):
        return None
    holds = truth(op, site)
    if isinstance(op, Equal | NotEqual):
        first, second = classes_of(holds if isinstance(op, Equal) else ~holds)
        name, numbers = f"class_{op.kind}", (first, second)
    else:
        upwards, bounds = bounds_of(holds, dtype.range[0])
        suffix = "s8" if dtype == INT8 else "u8"
        name, numbers = f"bound_{'less' if upwards else 'greater'}_{suffix}", (bounds, None)
    mapped = Mapped(name, "tc_compare.h", "int16_t", numbers, None, 3, "numbers", "none")
    return mapped_kernel(site, op, mapped)


def truth(op: Comparison, site: Site) -> Array:
    """Whether a comparison holds, bool[256][256], by the bits of the 8-bit operands."""
    values = _BYTES.view(site.sig.input.dtype.carrier)
    (result,) = op.evaluate(site.sig, (values[:, None], values))
    return result


def bounds_of(holds: Array, lowest: int) -> tuple[bool, Array]:
    """Of a comparison by an order: whether it holds for second operands above or below a bound, and the bounds.

    Those are int16[256] by the first operand's bits; at the bound itself it doesn't hold.

    Args:
        lowest: value of the second operand.

    Raises:
        ValueError: the values for which it holds aren't on one side, as in an order they are.
    """
    ordered = np.roll(holds, lowest, axis=1)
    count, places = ordered.sum(axis=1), np.arange(256)
    for upwards in (True, False):
        bounds = 255 - count if upwards else count
        if np.array_equal(ordered, places > bounds[:, None] if upwards else places < bounds[:, None]):
            return upwards, (bounds + lowest).astype(np.int16)
    raise ValueError("the comparison isn't one of an order")


def classes_of(equal: Array) -> tuple[Array, Array]:
    """Numbers int16[256] of first and second operands by their bits, the same for those that are equal.

    Raises:
        ValueError: what is equal to one value isn't equal to all that are equal to it.
    """
    second = np.where(equal.any(axis=0), equal[equal.argmax(axis=0)].argmax(axis=1), np.arange(256))
    first = np.where(equal.any(axis=1), second[equal.argmax(axis=1)], -1)
    if not np.array_equal(first[:, None] == second, equal):
        raise ValueError("the comparison isn't one of equality")
    return first.astype(np.int16), second.astype(np.int16)
