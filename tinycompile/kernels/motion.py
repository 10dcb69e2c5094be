"""Samples of motion: at another rate, and windows of them as a model's numbers."""

from __future__ import annotations

from math import ldexp

import numpy as np

from tinycompile.dtypes import FLOAT32, INT16
from tinycompile.ir import Site
from tinycompile.kernels.base import Constant, Kernel, kernel_for
from tinycompile.kernels.generic_c import Fields, Struct, shape_stem, struct_call
from tinycompile.ops.motion_resample import MotionResample
from tinycompile.ops.motion_window import SHIFT, MotionWindow
from tinycompile.targets.core import Core

_HEADER = "tc_motion.h"


@kernel_for(MotionResample, dtype=INT16)
def motion_resample(site: Site, core: Core) -> Kernel | None:
    """`tc_motion_resample`."""
    op, (_, count, channels) = site.node.op, site.sig.output.shape
    if not isinstance(op, MotionResample) or any(value is not None for value in site.constants):
        return None
    fields = {"count": count, "channels": channels, "taken": op.taken, "made": op.made}
    function = struct_call(
        f"motion_resample_{op.made}_{op.taken}_{count}x{channels}",
        "tc_motion_resample",
        _HEADER,
        ("const int16_t *input", "const int16_t *before", "int16_t *output"),
        (Struct("tc_motion_rate", fields),),
        "Samples at another rate, on straight lines between them.",
    )
    between = 0 if op.made == 1 else 12 if core.has("long_multiply") else 117  # with a division by a constant
    work = count * (10 + channels * (6 + between) + 4 * op.taken // op.made)
    return Kernel("motion_resample", function, instructions=20 + work, code_bytes=150)


@kernel_for(MotionWindow, dtype=INT16)
def motion_window(site: Site, core: Core) -> Kernel | None:
    """`tc_motion` and its kin."""
    op, sig = site.node.op, site.sig
    if not isinstance(op, MotionWindow):
        return None
    real = op.dtype == FLOAT32
    callee = f"tc_motion{'_own' if op.own else ''}{'_float' if real else ''}"
    constants = () if op.own else _constants(op)
    output = f"{op.dtype.ctype} *output"
    function = struct_call(
        f"{shape_stem(site)}_{op.dtype.name}",
        callee,
        _HEADER,
        ("const int16_t *input", output, *(f"const {c.ctype} *{c.suffix}" for c in constants)),
        (Struct("tc_motion_shape", _fields(op, sig.input.shape)),),
        "A window, by its own mean and deviation." if op.own else "A window as the model's numbers.",
    )
    return Kernel("motion_window", function, constants, instructions=_instructions(op, site, core), code_bytes=400)


def _fields(op: MotionWindow, shape: tuple[int, ...]) -> Fields:
    _, steps, channels = shape
    real, first = op.dtype == FLOAT32, op.channels_first
    low, high = (0, 0) if real else op.dtype.range
    multiplier, shift = op.factors[0] if op.own else (0, 0)
    return {
        "steps": steps,
        "channels": channels,
        "step_stride": 1 if first else channels,
        "channel_stride": steps if first else 1,
        "bytes": op.dtype.bits // 8,
        "zero_point": op.zero_point,
        "low": low,
        "high": high,
        "multiplier": multiplier,
        "shift": shift,
        "unit": ldexp(1, -shift - 30) if op.own else 0.0,
    }


def _constants(op: MotionWindow) -> tuple[Constant, ...]:
    means = Constant("means", "int32_t", np.array(op.means, np.int32), "of each channel, in 256ths of a sample")
    if op.dtype == FLOAT32:
        factors = np.array([ldexp(m, -s) for m, s in op.factors], np.float32)
        return means, Constant("factors", "float", factors, "of what is left of a sample without its mean")
    multipliers, shifts = (
        np.array(each, dtype)
        for each, dtype in (([m for m, _ in op.factors], np.int32), ([min(s, SHIFT) for _, s in op.factors], np.int8))
    )
    return (
        means,
        Constant("multipliers", "int32_t", multipliers, "of what is left of a sample without its mean"),
        Constant("shifts", "int8_t", shifts, "of their products"),
    )


def _instructions(op: MotionWindow, site: Site, core: Core) -> int:
    _, steps, channels = site.sig.input.shape
    long = core.has("long_multiply")
    real = 9 if core.has("fpu") else 90 if long else 160
    each = real if op.dtype == FLOAT32 else 27 if long else 92
    statistics = (6, 850) if long else (14, 1900)
    more, root = statistics if op.own else (0, 20)
    return 30 + channels * (root + steps * (each + more))
