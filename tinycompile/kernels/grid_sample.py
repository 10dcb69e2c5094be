"""Elements at computed places."""

from __future__ import annotations

from math import prod

from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Site
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.kernels.float_ops import float_kernel, floats, per_operation
from tinycompile.kernels.generic_c import Struct, struct_call
from tinycompile.ops.grid_sample import MAX_AXES, GridSample
from tinycompile.targets.core import Core


@kernel_for(GridSample, dtype=FLOAT32)
def grid_sample(site: Site, core: Core) -> Kernel | None:
    """`tc_float_grid_sample`."""
    op, (x, grid), y = site.node.op, site.sig.inputs, site.sig.output
    if not isinstance(op, GridSample):
        return None
    axes, places = len(x.shape) - 2, prod(grid.shape[1:-1])
    fields = {
        "batch": x.shape[0],
        "channels": x.shape[1],
        "size": (*(1,) * (MAX_AXES - axes), *x.shape[2:]),
        "axes": axes,
        "places": places,
        "taps": op.taps,
        "padding": ("zeros", "border", "reflection").index(op.padding),
        "corners": int(op.corners),
    }
    names = {0: "input", 1: "grid"}
    dynamic = [f"const float *{names[index]}" for index, _ in site.dynamic_inputs()]
    constant = [index for index, value in enumerate(site.constants) if value is not None]
    function = struct_call(
        f"grid_sample_{'x'.join(map(str, y.shape))}",
        "tc_float_grid_sample",
        "tc_float_grid_sample.h",
        (*dynamic, "float *output", *(f"const float *{names[index]}" for index in constant)),
        (Struct("tc_grid_sample_shape", fields),),
        "Elements at computed places.",
        ("input", "grid", "output"),
    )
    each = per_operation(core)
    work = x.shape[0] * places * axes * (40 + op.taps * 8) * each // 2 + y.elements * op.taps**axes * 2 * each
    return float_kernel(site, function, work, tuple(floats(names[index], site.constant(index)) for index in constant))
