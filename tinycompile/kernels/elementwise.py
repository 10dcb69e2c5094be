"""Elementwise operators: ADD, SUB and MUL with broadcasting, and all functions of one int8 value as tables."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import Constant, Function, Kernel, kernel_for, structured
from tinycompile.kernels.generic_c import Struct, range_fields, short_requant, struct_call
from tinycompile.kernels.generic_overlap import gathered_distance
from tinycompile.kernels.linear_form import SumForm, sum_form
from tinycompile.ops import all_ops
from tinycompile.ops._elementwise import INT8_VALUES, Binary, Unary
from tinycompile.ops._sum import Sum
from tinycompile.ops.add import Add
from tinycompile.ops.mul import Mul
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.sub import Sub
from tinycompile.targets.core import Core

LOOPS = 6
"""TC_BROADCAST_LOOPS."""

_SHORT_FORMS = {"sum": "linear, checked for all pairs of operands", "mul": "smmlar"}
_UNARY = tuple(op for op in all_ops().values() if issubclass(op, Unary))


@kernel_for(*_UNARY, Quantize)
def table(site: Site, core: Core) -> Kernel | None:
    """A function of one 8-bit value: 256 bytes, one load per element."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Unary | Quantize) or sig.input.dtype not in ("int8", "uint8"):
        return None
    return lookup(op.kind, sig.input, sig.output, op.table(sig), 0)


@kernel_for(Add, Sub, Mul)
def with_scalar(site: Site, core: Core) -> Kernel | None:
    """A binary operator with a constant that has one element is a function of the other operand."""
    op, sig = site.node.op, site.sig
    scalar = scalar_operand(site)
    if not isinstance(op, Binary) or scalar is None:
        return None
    constant = site.constant(scalar).reshape(1)
    operands = (constant, INT8_VALUES) if scalar == 0 else (INT8_VALUES, constant)
    (entries,) = op.evaluate(sig, operands)
    return lookup(f"{op.kind}_constant", sig.inputs[1 - scalar], sig.output, entries, 1 - scalar)


def scalar_operand(site: Site) -> int | None:
    """The only operand that is a constant of one element, where the other one has the output's elements."""
    scalars = [index for index, value in enumerate(site.constants) if value is not None and value.size == 1]
    if len(scalars) != 1 or site.sig.inputs[1 - scalars[0]].elements != site.sig.output.elements:
        return None
    return scalars[0]


def lookup(kind: str, x: TensorType, y: TensorType, entries: Array, operand: int) -> Kernel:
    c_types = {"int8": "int8_t", "uint8": "uint8_t"}
    source, target = c_types[x.dtype], c_types[y.dtype]
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
        instructions=15 + 4 * y.elements,
        code_bytes=60,
        overlap={operand: 0},
        notes={"requantisation": "table", "reason": "256 bytes hold the whole function"},
    )


@kernel_for(Add, Sub)
def add(site: Site, core: Core) -> Kernel | None:
    """`tc_sum_s8`, or `tc_sum_long_s8` where no linear form is exact."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Sum):
        return None
    form = sum_form(op, sig)
    if form is not None and sig.inputs[0].shape == sig.inputs[1].shape:
        return flat_sum(site, op, op.kind, core, form)
    if form is not None:
        return binary_kernel(site, op.kind, core, "sum", Struct("tc_sum_form", sum_fields(form, op.clamp), "form"))
    p, (a, b) = op.parameters(sig), sig.inputs
    fields = {
        "a_zero_point": a.zero_point,
        "b_zero_point": b.zero_point,
        "first": _factor(p.first),
        "second": _factor(p.second),
        "result": _factor(p.output),
        "sign": 1 if isinstance(op, Add) else -1,
        "range": range_fields(sig.output.zero_point, op.clamp),
    }
    return binary_kernel(site, op.kind, core, "sum_long", Struct("tc_sum_long_form", fields, "form"))


def flat_sum(site: Site, op: Binary, name: str, core: Core, form: SumForm) -> Kernel:
    """The numbers are constants in flash, not in the code: (nearly) all ADDs of a model are one function."""
    clamped = op.clamp != (-128, 127)
    count = site.sig.output.elements
    fields = {"count": count, **sum_fields(form, op.clamp)}
    numbers = structured(**{name: np.array([value], np.int32) for name, value in fields.items()})
    function = Function(
        f"{name}_clamped" if clamped else name,
        (*_operand_parameters(site), "const tc_sum_flat_form *form"),
        f"    tc_sum_flat_s8(a, b, output, form, {int(clamped)});\n",
        ("kernels/tc_sum.h",),
        f"{name} of two tensors of the same shape, eight elements at a time.",
    )
    return Kernel(
        f"{name}_short",
        function,
        (*_operand_constants(site), Constant("form", "tc_sum_flat_form", numbers, "see tc_sum.h")),
        instructions=35 + count // 8 * (49 + 10 * clamped if core.has("dsp") else 160) + count % 8 * 30,
        code_bytes=400,
        overlap={index: 0 for index, _ in site.dynamic_inputs()},
        notes={"requantisation": _SHORT_FORMS["sum"]},
    )


@kernel_for(Mul)
def mul(site: Site, core: Core) -> Kernel | None:
    """`tc_mul_s8`, or `tc_mul_long_s8` where the factor is no right shift of 1 to 15 bits."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, Mul):
        return None
    rule, (a, b) = op.requant(sig), sig.inputs
    zero_points = {"a_zero_point": a.zero_point, "b_zero_point": b.zero_point}
    short = short_requant(rule)
    if short is not None:
        fields = {**zero_points, "requant": short, "low": op.clamp[0], "high": op.clamp[1]}
        return binary_kernel(site, op.kind, core, "mul", Struct("tc_mul_form", fields, "form"))
    factor = _factor((int(rule.multiplier[0]), int(rule.shift[0])))
    fields = {**zero_points, **factor, "range": range_fields(sig.output.zero_point, op.clamp)}
    return binary_kernel(site, op.kind, core, "mul_long", Struct("tc_mul_long_form", fields, "form"))


def _factor(factor: tuple[int, int]) -> Mapping[str, int]:
    return {"multiplier": factor[0], "shift": factor[1]}


def sum_fields(form: SumForm, clamp: tuple[int, int]) -> Mapping[str, int]:
    """Members of a `tc_sum_form`."""
    low, high = clamp
    return {"first": form.first, "second": form.second, "start": form.start, "low": low, "high": high}


def binary_kernel(site: Site, kind: str, core: Core, name: str, form: Struct) -> Kernel | None:
    """The kernel of `tc_<name>_s8`; None for shapes with more loops than it has."""
    shapes = [t.shape for t in site.sig.inputs]
    loops = broadcast_loops(shapes[0], shapes[1])
    if len(loops) > LOOPS:
        return None
    padded = [(1, 0, 0)] * (LOOPS - len(loops)) + loops
    sizes, a_strides, b_strides = zip(*padded, strict=True)
    shape = Struct("tc_broadcast", {"size": sizes, "a_stride": a_strides, "b_stride": b_strides})
    short = name in _SHORT_FORMS
    return Kernel(
        f"{kind}_{'short' if short else 'long'}",
        _binary_function(site, kind, name, (form, shape)),
        _operand_constants(site),
        instructions=_binary_instructions(core, name, sizes),
        code_bytes=160 if short else 200,
        overlap={
            index: gathered_distance(_read_offsets(t.shape, site.sig.output.shape))
            for index, t in site.dynamic_inputs()
        },
        notes={"requantisation": _SHORT_FORMS.get(name, "exact")},
    )


def _binary_function(site: Site, kind: str, name: str, structs: tuple[Struct, Struct]) -> Function:
    return struct_call(
        f"{kind}_{site.sig.output.elements}",
        f"tc_{name}_s8",
        "tc_onnx_binary.h" if name.startswith("onnx_") else f"tc_{name.removesuffix('_long')}.h",
        _operand_parameters(site),
        structs,
        f"{kind} of two tensors.",
        ("a", "b", "output"),
    )


def _operand_parameters(site: Site) -> tuple[str, ...]:
    """a, b and the output in the order in which functions take them: constants come last."""
    dynamic = [f"const int8_t *{'ab'[index]}" for index, _ in site.dynamic_inputs()]
    constant = [f"const int8_t *{'ab'[index]}" for index, value in enumerate(site.constants) if value is not None]
    return (*dynamic, "int8_t *output", *constant)


def _operand_constants(site: Site) -> tuple[Constant, ...]:
    return tuple(
        Constant(f"operand_{index}", "int8_t", value.ravel(), f"operand {index} of {site.node.op.kind}")
        for index, value in enumerate(site.constants)
        if value is not None
    )


def _binary_instructions(core: Core, name: str, sizes: tuple[int, ...]) -> int:
    """The short forms take four elements at a time, and the rest of a run one by one for nearly the same price."""
    runs, count = int(np.prod(sizes[:-1])), sizes[-1]
    if name.startswith("onnx_"):
        return 30 + runs * (12 + count * (24 if core.has("fpu") else 400))
    if name.endswith("_long"):
        return 30 + runs * (12 + count * (48 if name == "sum_long" else 36))
    per_word = {"sum": 25, "mul": 31}[name] if core.has("dsp") else 80
    return 30 + runs * (10 + count // 4 * per_word + count % 4 * (per_word + 2))


def broadcast_loops(a: tuple[int, ...], b: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(size, stride of a, stride of b) of as few nested loops as it takes, outermost first; at least one."""
    loops = list[tuple[int, int, int]]()
    output = np.broadcast_shapes(a, b)
    for loop in zip(output, _strides(a, output), _strides(b, output), strict=True):
        size, *inner = loop
        if size == 1:
            continue
        if loops and all(outer == stride * size for outer, stride in zip(loops[-1][1:], inner, strict=True)):
            loops[-1] = (loops[-1][0] * size, inner[0], inner[1])
        else:
            loops.append((size, inner[0], inner[1]))
    return loops or [(1, 1, 1)]


def _strides(shape: tuple[int, ...], output: tuple[int, ...]) -> list[int]:
    """Elements between neighbours along each axis of the output; 0 where the operand is repeated."""
    strides, step = list[int](), 1
    for size in reversed((1,) * (len(output) - len(shape)) + shape):
        strides.append(0 if size == 1 else step)
        step *= size
    return strides[::-1]


def _read_offsets(shape: tuple[int, ...], output: tuple[int, ...]) -> Array:
    """The operand's element that each output element reads, in memory order."""
    return np.broadcast_to(np.arange(int(np.prod(shape))).reshape(shape), output).ravel()
