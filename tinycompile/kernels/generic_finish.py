"""From a layer's requantisation rule to the `tc_finish` function of the portable kernels and its constants."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.base import Constant, structured
from tinycompile.kernels.generic_c import Fields, range_fields
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.fixed_point import INT32_MAX, INT32_MIN, wrap_int32
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.numerics.rounded_product import RoundedProductRequant
from tinycompile.numerics.step_line import step_line
from tinycompile.numerics.step_requant import StepRequant

ARGUMENTS = ("input", "output", "weights", "channels")


@dataclass(frozen=True, eq=False)
class Finish:
    """How a portable kernel requantises.

    Attributes:
        function: of `tc_finish.h` or the kernel's own header.
        ctype: of the elements of `constant`.
        range: members of its `tc_output_range`.
        instructions: per output.
        form: for the report.
    """

    function: str
    ctype: str
    constant: Constant
    range: Fields
    instructions: int
    form: str

    @property
    def parameters(self) -> tuple[str, ...]:
        return ("const int8_t *input", "int8_t *output", "const int8_t *weights", f"const {self.ctype} *channels")

    @property
    def arguments(self) -> tuple[str, ...]:
        return (*ARGUMENTS, self.function)


def finish_of(
    site: Site, rule: Requant, bias: Array, clamp: tuple[int, int], reach: tuple[Array, Array] | None = None
) -> Finish:
    """The cheapest exact form.

    Args:
        rule: from accumulators (bias included) to outputs; the layer's own where `reach` is None.
        bias: int64 (C_out,): what is missing from the kernel's sum to the accumulator.
        reach: the lowest and the highest accumulator; None for those of a layer with constant weights.
    """
    match rule:
        case TfliteRequant():
            return _fixed("tc_finish_twice", rule, bias, range_fields(rule.zero_point, clamp))
        case RoundedProductRequant():
            if LinearLayer.of(site).is_fixed_point if reach is None else np.all(rule.is_fixed_point(*reach)):
                return _fixed("tc_finish_once", rule.fixed_point, bias, range_fields(rule.zero_point, clamp))
            channels = structured(factor=rule.scale, bias=wrap_int32(bias))
            return _finish("double", "tc_double_channel", channels, "factor, bias", rule, 200, "float64")
        case StepRequant():
            return step_finish(rule, bias, *(reach or LinearLayer.of(site).acc_range))
        case _:
            raise ValueError(f"no portable form of {type(rule).__name__}")


def step_finish(rule: StepRequant, bias: Array, acc_min: Array, acc_max: Array) -> Finish:
    """A line in 64 bits, or the steps themselves where there is none."""
    line = step_line(rule, acc_min, acc_max)
    if line is None:
        steps = np.clip(rule.steps - bias[:, None], INT32_MIN, INT32_MAX).astype(np.int32)
        return _finish("search", "int32_t", steps.ravel(), "smallest sum of each output", rule, 80, "search")
    offset = line.offset + line.multiplier.astype(np.int64) * bias
    channels = structured(offset=offset, multiplier=line.multiplier, shift=line.shift)
    name, cost = ("step_even", 38) if line.ties else ("step", 30)
    text = "offset, multiplier, shift"
    return _finish(name, "tc_step_channel", channels, text, rule, cost, "exact", line.zero_point_after)


def _finish(
    name: str, ctype: str, values: Array, text: str, rule: Requant, cost: int, form: str, zero_point: int | None = None
) -> Finish:
    fields = range_fields(rule.zero_point if zero_point is None else zero_point, (rule.low, rule.high))
    return Finish(f"tc_finish_{name}", ctype, Constant("channels", ctype, values, text), fields, cost, form)


def _fixed(function: str, rule: TfliteRequant, bias: Array, fields: Fields) -> Finish:
    start = wrap_int32(bias).astype(np.int32)
    channels = structured(bias=start, multiplier=rule.multiplier, shift=rule.shift)
    constant = Constant("channels", "tc_channel", channels, "bias, multiplier, shift")
    return Finish(function, "tc_channel", constant, fields, 38, "exact")
