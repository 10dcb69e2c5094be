"""Functions of two elements that aren't arithmetic of int8: integers without scales, comparisons, logical operators."""

from __future__ import annotations

import numpy as np

from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT64, UINT8, UINT64
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import (
    broadcast_of,
    element_overlap,
    operand_constants,
    operand_parameters,
)
from tinycompile.kernels.elementwise import lookup, scalar_operand
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.kernels.mapped_pairs import truth
from tinycompile.ops import all_ops
from tinycompile.ops._bits import Bits
from tinycompile.ops._comparison import Comparison
from tinycompile.ops._integers import PLAIN, IntegerBinary, IntegerUnary
from tinycompile.ops._logical import Logical
from tinycompile.ops._typed import Typed
from tinycompile.ops.logical_not import LogicalNot
from tinycompile.ops.right_shift import RightShift
from tinycompile.targets.core import Core

_SUFFIXES = {BOOL: "u8", FLOAT32: "f32", **{t: f"{'s' if t.is_signed else 'u'}{t.bits}" for t in PLAIN}}
"""Of the names of C functions."""
_ALL = np.arange(256, dtype=np.uint8)


def _of(base: type) -> tuple[type, ...]:
    return tuple(op for op in all_ops().values() if issubclass(op, base))


@kernel_for(*_of(IntegerUnary), dtype=None)
def integer_map(site: Site, core: Core) -> Kernel | None:
    """`tc_plain_map_<type>`."""
    op, dtype, count = site.node.op, site.sig.input.dtype, site.sig.output.elements
    if not _is_integer(site):
        return None
    suffix = _SUFFIXES[dtype]
    function = struct_call(
        f"{op.kind}_{suffix}_{count}",
        f"tc_plain_map_{suffix}",
        "tc_integers.h",
        (f"const {dtype.ctype} *input", f"{dtype.ctype} *output"),
        (Struct("tc_count", {"count": count}),),
        f"{op.kind} of every element.",
        ("input", "output", f"tc_plain_{op.kind}_{suffix}"),
    )
    instructions = 15 + count * (7 if dtype.bits <= 32 else 12)
    return Kernel(f"{op.kind}_{suffix}", function, instructions=instructions, code_bytes=60, overlap={0: 0})


def _is_integer(site: Site) -> bool:
    """Whether operand 0 is an integer without a scale."""
    op = site.node.op
    return isinstance(op, Typed) and op.is_plain(site.sig)


@kernel_for(LogicalNot, dtype=BOOL)
def logical_not(site: Site, core: Core) -> Kernel | None:
    """A table of two entries, whose index is a byte all the same."""
    return lookup("logical_not", site.sig.input, site.sig.output, (_ALL == 0).astype(np.uint8), 0, core)


@kernel_for(*_of(IntegerBinary), dtype=None)
def integer_pairs(site: Site, core: Core) -> Kernel | None:
    """`tc_plain_pairs_<type>`."""
    if not _is_integer(site):
        return None
    short = site.sig.input.dtype.bits <= 32
    divides = site.node.op.kind in ("div", "floor_div", "floor_mod", "fmod", "pow")
    each = (25 if short and core.has("long_multiply") else 90) if divides else 9 if short else 16
    return pairs_kernel(site, "tc_plain_pairs", "tc_integers.h", each, prefix="tc_plain")


@kernel_for(*_of(Bits), dtype=None)
def bits(site: Site, core: Core) -> Kernel | None:
    """`tc_bits_<type>`."""
    op = site.node.op
    name = "onnx_right_shift" if isinstance(op, RightShift) and op.rule == "onnx" else op.kind
    return pairs_kernel(site, "tc_bits", "tc_bits.h", 14, name) if site.sig.input.dtype in Bits.types else None


@kernel_for(*_of(Logical), dtype=BOOL)
def logical(site: Site, core: Core) -> Kernel | None:
    """`tc_compare_u8`, of bytes 0 and 1."""
    return pairs_kernel(site, "tc_compare", "tc_compare.h", 8)


@kernel_for(*_of(Comparison), dtype=None)
def comparison(site: Site, core: Core) -> Kernel | None:
    """`tc_compare_<type>`; 8-bit operands where their bytes compare as their numbers do."""
    op, sig = site.node.op, site.sig
    dtype = sig.input.dtype
    if not isinstance(op, Comparison):
        return None
    if dtype in (INT8, UINT8) and not op.is_plain(sig):
        first, second = _ALL.view(dtype.carrier)[:, None], _ALL.view(dtype.carrier)
        if not np.array_equal(truth(op, site), op.holds(first, second)):
            return None
    each = 30 if dtype == FLOAT32 and not core.has("fpu") else 14 if dtype in (INT64, UINT64) else 10
    return pairs_kernel(site, "tc_compare", "tc_compare.h", each)


@kernel_for(*_of(Comparison), dtype=None)
def comparison_with_scalar(site: Site, core: Core) -> Kernel | None:
    """A comparison of 8-bit values with a constant is a table."""
    op, sig, scalar = site.node.op, site.sig, scalar_operand(site)
    if scalar is None or sig.input.dtype not in (INT8, UINT8):
        return None
    values = _ALL.view(sig.input.dtype.carrier)
    constant = site.constant(scalar).reshape(1)
    (entries,) = op.evaluate(sig, (constant, values) if scalar == 0 else (values, constant))
    return lookup(f"{op.kind}_constant", sig.inputs[1 - scalar], sig.output, entries.astype(np.uint8), 1 - scalar, core)


def pairs_kernel(site: Site, loops: str, header: str, each: int, name: str = "", prefix: str = "tc") -> Kernel | None:
    """The kernel that applies `<prefix>_<name>_<type>`, by default the operator's, in the loops `<loops>_<type>`; None
    for shapes with more of them.
    """
    op, suffix, shape = site.node.op, _SUFFIXES[site.sig.input.dtype], broadcast_of(site)
    name = name or op.kind
    if shape is None:
        return None
    function = struct_call(
        f"{name}_{suffix}_{site.sig.output.elements}",
        f"{loops}_{suffix}",
        header,
        operand_parameters(site),
        (shape.struct,),
        f"{op.kind} of two tensors.",
        ("a", "b", "output", f"{prefix}_{name}_{suffix}"),
    )
    return Kernel(
        f"{name}_{suffix}",
        function,
        operand_constants(site),
        instructions=30 + shape.runs * (25 + each * shape.run),
        code_bytes=120,
        overlap=element_overlap(site),
    )
