"""Elementwise operators: ADD, SUB and MUL with broadcasting, and all functions of one int8 value as tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.dtypes import UINT8
from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.binary import Routine, RunCost, binary_kernel, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, factor_fields, range_fields, short_requant, struct_call
from tinycompile.kernels.integer_forms import SumForm, sum_form
from tinycompile.ops import all_ops
from tinycompile.ops._elementwise import INT8_VALUES, Binary, Unary
from tinycompile.ops._sum import Sum
from tinycompile.ops.add import Add
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core

_UNARY = tuple(op for op in all_ops().values() if issubclass(op, Unary))
_BINARY = tuple(op for op in all_ops().values() if issubclass(op, Binary))


SUM_IN_WORDS = "linear, checked for all pairs of operands"
"""How the short sums requantise."""


@kernel_for(*_UNARY, Quantize)
def table(site: Site, core: Core) -> Kernel | None:
    """A function of one 8-bit value: 256 bytes, one load per element."""
    op = site.node.op
    if not isinstance(op, Unary | Quantize) or site.sig.output.dtype.item_bytes > 1:
        return None
    return _looked_up(site, op, core)


@kernel_for(Quantize, dtype=UINT8)
def unsigned_table(site: Site, core: Core) -> Kernel | None:
    """The same of the only operator that takes uint8."""
    op = site.node.op
    return _looked_up(site, op, core) if isinstance(op, Quantize) else None


def _looked_up(site: Site, op: Unary | Quantize, core: Core) -> Kernel:
    return lookup(op.kind, site.sig.input, site.sig.output, op.table(site.sig), 0, core)


@kernel_for(*_BINARY)
def with_scalar(site: Site, core: Core) -> Kernel | None:
    """A binary operator with a constant that has one element is a function of the other operand."""
    op, sig = site.node.op, site.sig
    scalar = scalar_operand(site)
    if not isinstance(op, Binary) or scalar is None:
        return None
    constant = site.constant(scalar).reshape(1)
    operands = (constant, INT8_VALUES) if scalar == 0 else (INT8_VALUES, constant)
    (entries,) = op.evaluate(sig, operands)
    return lookup(f"{op.kind}_constant", sig.inputs[1 - scalar], sig.output, entries, 1 - scalar, core)


def scalar_operand(site: Site) -> int | None:
    """The only operand that is a constant of one element, where the other one has the output's elements."""
    scalars = [index for index, value in enumerate(site.constants) if value is not None and value.size == 1]
    if len(scalars) != 1 or site.sig.inputs[1 - scalars[0]].elements != site.sig.output.elements:
        return None
    return scalars[0]


def lookup(kind: str, x: TensorType, y: TensorType, entries: Array, operand: int, core: Core) -> Kernel:
    """`tc_lookup` of the operand's elements."""
    source, target = x.dtype.ctype, y.dtype.ctype
    function = struct_call(
        f"lookup_{y.elements}",
        "tc_lookup",
        "tc_lookup.h",
        (f"const {source} *input", f"{target} *output", f"const {target} *table"),
        (Struct("tc_lookup_shape", {"count": y.elements}),),
        "A function of one value as a table of its 256 results.",
    )
    return Kernel(
        f"{kind}_table",
        function,
        (Constant("table", target, entries, f"{kind}: entry (uint8_t)q is the result for q"),),
        instructions=15 + (4 * -(-y.elements // 16) if core.has("mve") else 7 * y.elements // 2),
        code_bytes=60,
        overlap={operand: 0},
        notes={"requantisation": "table", "reason": "256 bytes hold the whole function"},
    )


@kernel_for(Add, Sub)
def add(site: Site, core: Core) -> Kernel | None:
    """`tc_sum_s8`, whosever rule it is; or `tc_sum_long_s8` where no linear form is TFLite's."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Sum):
        return None
    form = sum_form(op, sig)
    if form is not None and sig.inputs[0].shape == sig.inputs[1].shape:
        return flat_sum(site, op, core, form)
    if form is not None:
        return broadcast_sum(site, op, core, form)
    if op.rule != "tflite":
        return None
    p, (a, b) = op.parameters(sig), sig.inputs
    fields = {
        "a_zero_point": a.zero_point,
        "b_zero_point": b.zero_point,
        "first": factor_fields(p.first),
        "second": factor_fields(p.second),
        "result": factor_fields(p.output),
        "sign": 1 if isinstance(op, Add) else -1,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    routine = Routine("sum_long", "tc_sum.h", RunCost.one_by_one(12, 48))
    return binary_kernel(site, op, routine, Struct("tc_sum_long_form", fields, "form"))


def broadcast_sum(site: Site, op: Sum, core: Core, form: SumForm) -> Kernel | None:
    """Four elements at a time, and the rest of a run one by one for nearly the same price."""
    routine = Routine("sum", "tc_sum.h", _by_words(25 if core.has("dsp") else 80), "short", SUM_IN_WORDS, 160)
    return binary_kernel(site, op, routine, Struct("tc_sum_form", sum_fields(form, op.clamp), "form"))


def _by_words(word: int) -> RunCost:
    return RunCost(10, word, word + 2)


def flat_sum(site: Site, op: Sum, core: Core, form: SumForm) -> Kernel:
    """The numbers are constants in flash, not in the code: (nearly) all ADDs of a model are one function."""
    clamped = op.clamp != (-128, 127)
    count = site.sig.output.elements
    word = 49 + 10 * clamped if core.has("dsp") else 180 if core.has("long_multiply") else 520
    fields = {"count": count, **sum_fields(form, op.clamp)}
    numbers = structured(**{field: np.array([value], np.int32) for field, value in fields.items()})
    function = Function(
        f"{op.kind}_clamped" if clamped else op.kind,
        (*operand_parameters(site), "const tc_sum_flat_form *form"),
        f"    tc_sum_flat_s8(a, b, output, form, {int(clamped)});\n",
        ("kernels/tc_sum.h",),
        f"{op.kind} of two tensors of the same shape, eight elements at a time.",
    )
    return Kernel(
        f"{op.kind}_short",
        function,
        (*operand_constants(site), Constant("form", "tc_sum_flat_form", numbers, "see tc_sum.h")),
        instructions=35 + count // 8 * word + count % 8 * 30,
        code_bytes=400,
        overlap={index: 0 for index, _ in site.dynamic_inputs()},
        notes={"requantisation": SUM_IN_WORDS},
    )


@kernel_for(Mul)
def mul(site: Site, core: Core) -> Kernel | None:
    """`tc_mul_s8`, or `tc_mul_long_s8` where the factor is no right shift of 1 to 15 bits."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Mul) or op.rule != "tflite":
        return None
    rule, (a, b) = op.requant(sig), sig.inputs
    zero_points = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point}
    short = short_requant(rule)
    if short is not None:
        fields = {**zero_points, "requant": short, "low": op.clamp[0], "high": op.clamp[1]}
        routine = Routine("mul", "tc_mul.h", _by_words(31 if core.has("dsp") else 80), "short", "smmlar", 160)
        return binary_kernel(site, op, routine, Struct("tc_mul_form", fields, "form"))
    factor = factor_fields((int(rule.multiplier[0]), int(rule.shift[0])))
    fields = {**zero_points, **factor, "range": range_fields(sig.output.zero_point, op.clamp)}
    routine = Routine("mul_long", "tc_mul.h", RunCost.one_by_one(12, 36))
    return binary_kernel(site, op, routine, Struct("tc_mul_long_form", fields, "form"))


def sum_fields(form: SumForm, clamp: tuple[int, int]) -> Mapping[str, int]:
    """Members of a `tc_sum_form`."""
    low, high = clamp
    return {"first": form.first, "second": form.second, "start": form.start, "low": low, "high": high}
