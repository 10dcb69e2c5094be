"""Functions of one value, where operand or result has 16 bits: pieces of parabolas with exceptions, or a table."""

from __future__ import annotations

from math import ceil, log2

import numpy as np

from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.numerics.pieces import INPUTS, Pieces
from tinycompile.ops.quantize import Quantize
from tinycompile.ops.wide_lookup import WideLookup
from tinycompile.targets.core import Core

_MOST_BLOCKS = 256
_FEW = 4
"""So many pieces are looked at one after the other."""
_INPUT_BITS = 16


@kernel_for(WideLookup, dtype=INT16)
def pieces(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_lookup_s16` or `_s8`."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, WideLookup):
        return None
    form, count = op.pieces(sig), sig.output.elements
    firsts = _first_pieces(form)
    fields = {"count": count, "block": _INPUT_BITS - int(log2(firsts.size)), "fraction": form.fraction}
    fields |= {"near": form.near, "exceptions": form.exceptions.size}
    y = sig.output.dtype
    function = struct_call(
        f"wide_lookup_{count}",
        f"tc_wide_lookup_s{y.bits}",
        "tc_wide_lookup.h",
        (
            "const int16_t *input",
            f"{y.ctype} *output",
            "const uint16_t *first",
            "const uint16_t *last",
            "const int32_t *numbers",
            "const uint16_t *exceptions",
        ),
        (Struct("tc_wide_pieces", fields),),
        "A function of 16-bit values as pieces of parabolas.",
    )
    return Kernel(
        "lookup_pieces",
        function,
        (
            Constant("first", "uint16_t", firsts, f"of {firsts.size} blocks of operands the first piece"),
            Constant("last", "uint16_t", form.last, "operand + 2^15 of each piece"),
            Constant("numbers", "int32_t", _numbers(form), "of each piece value, slope, curvature"),
            Constant("exceptions", "uint16_t", _exceptions(form), "operands + 2^15 for which these are off by one"),
        ),
        instructions=20 + count * (35 if core.has("long_multiply") else 110),
        code_bytes=160,
        overlap={0: 0},
        notes={"requantisation": "parabolas, compared for all 65,536 operands", "reason": op.function},
    )


def _first_pieces(form: Pieces) -> Array:
    """Of each block of operands, whose number is a power of two."""
    count = form.last.size
    blocks = 1 if count <= _FEW else min(_MOST_BLOCKS, 1 << ceil(log2(count)))
    return np.searchsorted(form.last, np.arange(blocks) * (INPUTS // blocks)).astype(np.uint16)


def _numbers(form: Pieces) -> Array:
    """int32 (4 n,): of each piece the words of its value, the low one first, slope and curvature."""
    words = (form.value & 0xFFFFFFFF).astype(np.uint32).view(np.int32), (form.value >> 32).astype(np.int32)
    return np.stack((*words, form.slope, form.curvature), axis=1).ravel()


def _exceptions(form: Pieces) -> Array:
    """At least one element, which C wants an array to have."""
    return form.exceptions if form.exceptions.size else np.zeros(1, np.uint16)


@kernel_for(WideLookup, Quantize, dtype=INT8)
def table(site: Site, core: Core) -> Kernel | None:
    """`tc_wide_table`; None for results of 8 bits."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, WideLookup | Quantize) or sig.output.dtype != INT16:
        return None
    by_bits = np.roll(op.table(sig), -INT8.range[0]) if isinstance(op, WideLookup) else op.table(sig)
    count = sig.output.elements
    function = struct_call(
        f"wide_table_{count}",
        "tc_wide_table",
        "tc_wide_lookup.h",
        ("const int8_t *input", "int16_t *output", "const int16_t *results"),
        (Struct("tc_wide_table_count", {"count": count}),),
        "A function of 8-bit values with results of 16.",
    )
    return Kernel(
        f"{op.kind}_table",
        function,
        (Constant("results", "int16_t", by_bits, "of each byte"),),
        instructions=20 + count * 6,
        code_bytes=40,
        # Element i, two bytes, is written when i + 1 is the next input element to read.
        overlap={0: max(0, count - 1)},
        notes={"requantisation": "a table"},
    )
