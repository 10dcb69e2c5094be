"""SELECT: elements of one tensor or of another."""

from __future__ import annotations

from math import prod

from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.binary import LOOPS, element_overlap, nested_loops, operand_constants, operand_parameters
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.select import Select
from tinycompile.targets.core import Core

_SUFFIXES = {
    "int8_t": "s8",
    "uint8_t": "s8",
    "int16_t": "s16",
    "int32_t": "s32",
    "int64_t": "s64",
    "float": "f32",
}


@kernel_for(Select, dtype=None)
def select(site: Site, core: Core) -> Kernel | None:
    """`tc_select_<type>`; None for element types that it doesn't know, and shapes with more loops than it has."""
    sig = site.sig
    suffix = _SUFFIXES.get(sig.output.dtype.ctype)
    loops = nested_loops([t.shape for t in sig.inputs])
    if suffix is None or len(loops) > LOOPS:
        return None
    sizes, c_strides, a_strides, b_strides = zip(*([(1, 0, 0, 0)] * (LOOPS - len(loops)) + loops), strict=True)
    fields = {"size": sizes, "condition_stride": c_strides, "a_stride": a_strides, "b_stride": b_strides}
    cast = f"({sig.output.dtype.ctype.removeprefix('u')} *)" if suffix == "s8" else ""
    const = f"(const {sig.output.dtype.ctype.removeprefix('u')} *)" if suffix == "s8" else ""
    function = struct_call(
        f"select_{suffix}_{sig.output.elements}",
        f"tc_select_{suffix}",
        "tc_select.h",
        operand_parameters(site, "cab"),
        (Struct("tc_select_shape", fields),),
        "Elements of one tensor or of another.",
        ("c", f"{const}a", f"{const}b", f"{cast}output"),
    )
    each = 3 if suffix == "s8" else 10 if suffix != "s64" else 14
    return Kernel(
        f"select_{suffix}",
        function,
        operand_constants(site),
        instructions=30 + prod(sizes[:-1]) * (40 + each * sizes[-1]),
        code_bytes=160,
        overlap=element_overlap(site),
    )
