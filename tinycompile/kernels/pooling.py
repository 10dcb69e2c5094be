"""Average pooling, maximum pooling and means, four channels at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from tinycompile.ir import Array, Site, TensorType
from tinycompile.kernels.base import CodeSize, Kernel, kernel_for
from tinycompile.kernels.generic_c import (
    NO_SHORT_REQUANT,
    Fields,
    Struct,
    range_fields,
    short_requant,
    struct_call,
    window_fields,
    window_stem,
)
from tinycompile.kernels.generic_finish import Finish, step_finish
from tinycompile.kernels.generic_overlap import channelwise_distance
from tinycompile.kernels.integer_forms import ScaledForm, scaled_form
from tinycompile.kernels.reduce_loops import ReduceLoops
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.ops._pool import Pool
from tinycompile.ops._spatial import Window
from tinycompile.ops.average_pool2d import AveragePool2D
from tinycompile.ops.max_pool2d import MaxPool2D
from tinycompile.ops.mean import Mean
from tinycompile.ops.reduce_sum import ReduceSum
from tinycompile.targets.core import Core

PARAMETERS = ("const int8_t *input", "int8_t *output")


@kernel_for(AveragePool2D)
def average_pool(site: Site, core: Core) -> Kernel | None:
    """`tc_average_pool_s8`."""
    op = site.node.op
    if not isinstance(op, AveragePool2D):
        return None
    if op.rule is not None:
        return _average_step(site, op, op.rule)
    count = op.count
    form = scaled_form(lambda total: _rounded_quotient(total, count), -128 * count, 127 * count)
    return _pool(site, op, core, "average_pool", {"division": _division(form)}, form)


def _average_step(site: Site, op: AveragePool2D, rule: Requant) -> Kernel | None:
    """`tc_average_step_s8`."""
    sig, count = site.sig, op.count
    if not isinstance(rule, StepRequant):
        return None
    window, by_count = op.window_of(sig), op.rescales_by_count
    finish = _step_of_sums(rule, _numbers_inside(op) if by_count else np.array([count]), sig.input.zero_point)
    fields = {"window": window_fields(window, sig.input, sig.output), "channels": sig.input.shape[3]}
    fields |= {"by_count": int(by_count), "range": finish.range}
    function = struct_call(
        f"average_step_{window_stem(window, sig.input, sig.output)}",
        "tc_average_step_s8",
        "tc_average_step.h",
        (*PARAMETERS, f"const {finish.ctype} *step"),
        (Struct("tc_average_step_shape", fields),),
        "Average pooling, channel by channel.",
        ("input", "output", "step", finish.function),
    )
    return Kernel(
        "average_step",
        function,
        (finish.constant,),
        instructions=40 + sig.output.elements * (count * 4 + finish.instructions + 10),
        code_bytes=200,
        overlap={0: channelwise_distance(op.access(sig, 0), sig.input, sig.output)},
        notes={"requantisation": finish.form},
    )


def _numbers_inside(op: AveragePool2D) -> Array:
    """Of positions of a window, in the order of the rule's channels."""
    rows, columns = (np.arange(1, size + 1) for size in op.kernel)
    return (rows[:, None] * columns).ravel()


def _step_of_sums(rule: StepRequant, count: Array, zero_point: int) -> Finish:
    """For the raw sum of `count` int8 values, one number for each channel of the rule."""
    ends = (count * (bound - zero_point) for bound in (-128, 127))
    return step_finish(rule, -count * zero_point, *ends)


@kernel_for(MaxPool2D)
def max_pool(site: Site, core: Core) -> Kernel | None:
    """`tc_max_pool_s8`."""
    op = site.node.op
    return _pool(site, op, core, "max_pool", {}, None) if isinstance(op, MaxPool2D) else None


@kernel_for(Mean, ReduceSum)
def mean(site: Site, core: Core) -> Kernel | None:
    """`tc_mean_s8`, or `tc_mean_step_s8`, which sum as well; None for alternations of kept and reduced axes with more
    loops than they have.
    """
    op, sig = site.node.op, site.sig
    if not isinstance(op, Mean | ReduceSum):
        return None
    loops = ReduceLoops.of(sig.input.shape, op.axes)
    if loops is None:
        return None
    rule, count = op.requant(sig), op.count(sig)
    short = short_requant(rule) if isinstance(rule, TfliteRequant) else None
    finish = _step_of_sums(rule, np.array([count]), sig.input.zero_point) if isinstance(rule, StepRequant) else None
    if finish is not None:
        return _mean_step(site, finish, {**loops.fields, "range": finish.range}, loops, core)
    if not isinstance(rule, TfliteRequant):
        return None
    fields = {
        **loops.fields,
        "minus_zero_points": -sig.input.zero_point * count,
        "multiplier": int(rule.multiplier[0]),
        "shift": int(rule.shift[0]),
        "requant": short or NO_SHORT_REQUANT,
        "range": range_fields(sig.output.zero_point, (-128, 127)),
    }
    function = struct_call(
        f"mean_{'x'.join(map(str, sig.input.shape))}",
        "tc_mean_s8",
        "tc_mean.h",
        PARAMETERS,
        (Struct("tc_mean_shape", fields),),
        "Mean over some axes.",
    )
    return Kernel(
        "mean",
        function,
        instructions=_average_instructions(sig.output.elements, count, loops.inner, core, short is not None),
        code_bytes=250,
        overlap={0: loops.distance},
        notes={"requantisation": "exact" if short is None else "smmlar"},
    )


def _mean_step(site: Site, finish: Finish, fields: Fields, loops: ReduceLoops, core: Core) -> Kernel:
    """`tc_mean_step_s8`."""
    sig, inner = site.sig, loops.inner
    outputs, count = sig.output.elements, sig.input.elements // sig.output.elements
    words, rest = outputs // inner * (inner // 4), outputs // inner * (inner % 4)
    per_pixel = _sum_instructions(core)
    work = round(
        words * (count * per_pixel + 4 * finish.instructions + 32) + rest * (count * 6 + finish.instructions + 12)
    )
    kind = site.node.op.kind
    function = struct_call(
        f"{kind}_step_{'x'.join(map(str, sig.input.shape))}",
        "tc_mean_step_s8",
        "tc_mean_step.h",
        (*PARAMETERS, f"const {finish.ctype} *step"),
        (Struct("tc_mean_step_shape", fields),),
        f"{kind} over some axes.",
        ("input", "output", "step", finish.function),
    )
    return Kernel(
        f"{kind}_step",
        function,
        (finish.constant,),
        instructions=20 + work,
        code_bytes=200,
        code=CodeSize(300),
        overlap={0: loops.distance},
        notes={"requantisation": finish.form},
    )


def _pool(site: Site, op: Pool, core: Core, name: str, extra: Fields, form: ScaledForm | None) -> Kernel:
    sig = site.sig
    window, x = _merged(op.window_of(sig), sig.input, sig.output)
    fields = {
        "window": window_fields(window, x, sig.output),
        "padded": int(any(window.padding)),
        "channels": x.shape[3],
        **extra,
    }
    fields |= {"low": op.clamp[0], "high": op.clamp[1]}
    function = struct_call(
        f"{name}_{window_stem(op.window_of(sig), sig.input, sig.output)}",
        f"tc_{name}_s8",
        f"tc_{name}.h",
        PARAMETERS,
        (Struct(f"tc_{name}_shape", fields),),
        f"{op.kind}, four channels at a time.",
    )
    average, outputs, count = isinstance(op, AveragePool2D), sig.output.elements, prod(op.kernel)
    if average:
        instructions = _average_instructions(outputs, count, x.shape[3], core, form is not None)
    else:
        instructions = _max_instructions(outputs, count, x.shape[3], core)
    return Kernel(
        name,
        function,
        instructions=instructions,
        code_bytes=250,
        overlap={0: channelwise_distance(op.access(sig, 0), sig.input, sig.output)},
        notes=_notes(form) if average else {},
    )


def _merged(window: Window, x: TensorType, y: TensorType) -> tuple[Window, TensorType]:
    """A single window over whole rows is one long row: one loop less."""
    whole_rows = window.kernel[1] == x.shape[2] and not any(window.padding) and y.shape[1:3] == (1, 1)
    if not whole_rows:
        return window, x
    pixels = window.kernel[0] * window.kernel[1]
    return replace(window, kernel=(1, pixels)), replace(x, shape=(1, 1, pixels, x.shape[3]))


def _rounded_quotient(total: Array, count: int) -> Array:
    """Halves away from zero."""
    return np.sign(total) * ((np.abs(total) + count // 2) // count)


def _division(form: ScaledForm | None) -> Mapping[str, int]:
    form = form or ScaledForm(0, 0, 0)
    return {"multiplier": form.multiplier, "start": form.start, "shift": form.shift}


def _notes(form: ScaledForm | None) -> dict[str, str]:
    return {"requantisation": "exact" if form is None else "linear, checked for all sums"}


def _sum_instructions(core: Core) -> float:
    """To add four channels of a pixel (`tc_sum4_add`)."""
    return 3.75 if core.has("dsp") else 8 if core.has("multiply_accumulate") else 11


def _average_instructions(outputs: int, count: int, channels: int, core: Core, short: bool) -> int:
    """Words of four channels, and what is left of the channels one by one."""
    words, rest = outputs // channels * (channels // 4), outputs // channels * (channels % 4)
    per_pixel, finish = _sum_instructions(core), (22 if short else 140)
    return round(40 + words * (count * per_pixel + finish) + rest * (count * 6 + finish / 4 + 15))


def _max_instructions(outputs: int, count: int, channels: int, core: Core) -> int:
    """The C compiler unrolls small windows."""
    words, rest = outputs // channels * (channels // 4), outputs // channels * (channels % 4)
    per_pixel = (3 if count <= 4 else 6) if core.has("dsp") else 20
    return 40 + words * (count * per_pixel + 6) + rest * (count * 6 + 15)
