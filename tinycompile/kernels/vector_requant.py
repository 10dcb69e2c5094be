"""Requantisation 8 results at a time by Helium: arguments of the macros of `tc_mve_requant_block.h`, and constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.numerics.fixed_point import INT32_MIN
from tinycompile.numerics.latitude import Form, RequantShape
from tinycompile.numerics.proved_requant import solve
from tinycompile.numerics.requant import Requant
from tinycompile.numerics.requant_plan import RequantPlan
from tinycompile.numerics.requant_solver import fits

COMMON_SHIFT: Mapping[Form, int] = {"smmla": 4, "smmla_signed": 12}
"""Tried first, since layers whose shifts are the same share block functions; nearly all have solutions with it."""

MOST_PRE = 6
"""Of sums of computed operands."""


@dataclass(frozen=True, eq=False)
class VectorRequant:
    """A proved plan in one of the forms with a high product.

    Attributes:
        fused: for VQDMLASH, which doubles the product, so that offset and step are twice as large, and adds the offset
            of a single channel.
        taken: bits by which sums are shifted to the left as they come, of `plan.pre`.
    """

    plan: RequantPlan
    fused: bool = False
    taken: int = 0

    @staticmethod
    def of(layer: LinearLayer) -> VectorRequant | None:
        """None where no form of it is exact, or half a step below the offsets isn't in int32."""
        plan = _plan(layer)
        return VectorRequant(plan) if plan is not None and has_room(layer.acc_raw_range[0], plan) else None

    @staticmethod
    def of_sums(rule: Requant, low: Array, high: Array) -> VectorRequant | None:
        """Of sums that nothing is known of but their lowest and highest, one channel; None as above."""
        for form, pre in product(("smmla", "smmla_signed"), range(MOST_PRE + 1)):
            if np.all(fits(rule, low, high, pre)):
                plan = solve(rule, low, high, np.zeros(1, np.int64), pre, forms=(form,))
                if plan.form == form and has_room(low, plan):
                    return VectorRequant(plan)
        return None

    @property
    def shift(self) -> int:
        """Of the narrowing instructions, which round."""
        return 0 if self.plan.form == "smmla_shift" else self.plan.immediate_shift + self.fused

    @property
    def pre(self) -> int:
        return self.plan.pre - self.taken

    @property
    def arguments(self) -> tuple[str | int, ...]:
        """The last ones of a macro that defines a block function."""
        return (self._form, self.pre, self.shift, self.plan.low, self.plan.high)

    @property
    def _form(self) -> str:
        return f"{self.plan.form}_fused" if self.fused else self.plan.form

    @property
    def suffix(self) -> str:
        """Of a block function's name: what the arguments say."""
        form = self._form.removeprefix("smmla").removeprefix("_")
        clamp = f"clamp_{self.plan.low}_{self.plan.high}".replace("-", "m")
        parts = [f"asr{self.shift}", f"lsl{self.pre}" if self.pre else "", form]
        parts.append(clamp if (self.plan.low, self.plan.high) != (-128, 127) else "")
        return "_".join(filter(None, parts))

    @property
    def extra_instructions(self) -> int:
        """Per 8 results of 4 channels, beside those of the cheapest form, shift and clamp."""
        form = {"smmla": 0, "smmla_shift": 3, "smmla_signed": 4}[self.plan.form] + (3 if self.pre else 0)
        return form + 2 * ((self.plan.low > -128) + (self.plan.high < 127)) + 2 * (self.shift > 16)

    @property
    def constants(self) -> Sequence[Array]:
        """int32 (C,): multipliers, offsets and, where the form has any, extras."""
        plan = self.plan
        fields = [plan.multiplier, (plan.offset << self.fused) - ((1 << self.shift) >> 1)]
        if plan.form == "smmla_signed":
            fields.append(plan.sign_step)
        elif plan.form == "smmla_shift":
            fields.append(-plan.shift)
        return [field.astype(np.int32) for field in fields]

    @property
    def per_channel(self) -> Array:
        """int32 (C * words,): start, then the constants."""
        return np.stack([self.plan.start, *self.constants], axis=1).astype(np.int32).ravel()

    def doubled(self, layer: LinearLayer) -> VectorRequant | None:
        """The same for VQDMLASH; None where twice the sums leave int32, or other weights' might."""
        if self.plan.form != "smmla" or layer.latitude is not None:
            return None
        ends = np.stack([(each << self.plan.pre) + self.plan.start.astype(np.int64) for each in layer.acc_raw_range])
        sums = 2 * (self.plan.offset.astype(np.int64) + (ends * self.plan.multiplier >> 32))
        room = (sums >= INT32_MIN + 2**31 // 2) & (sums < 2**30) | (self.plan.multiplier == 0)
        return VectorRequant(self.plan, fused=True) if bool(np.all(room)) else None

    @property
    def shape_in_code(self) -> RequantShape:
        return self.plan.shape_in_code


def _plan(layer: LinearLayer) -> RequantPlan | None:
    """The cheapest that is exact: sums that begin with the starts; then, the more of a shift, the likelier.

    Where weights can be replaced, others may need more exact sums, and other shifts.
    """
    if layer.latitude is None and layer.fits(0):
        for shift in (COMMON_SHIFT["smmla"], None):
            plan = layer.solve(0, forms=("smmla",), shift=shift)
            if plan.form == "smmla":
                return plan
    found = ProductRequant.of(layer)
    if found is None or layer.latitude is not None or found.plan.form not in COMMON_SHIFT:
        return None if found is None else found.plan
    plan = layer.solve(found.plan.pre, forms=(found.plan.form,), shift=COMMON_SHIFT[found.plan.form])
    return plan if plan.form == found.plan.form else found.plan


def has_room(lowest_sum: Array, plan: RequantPlan) -> bool:
    """Whether the sum that is shifted stays in int32 when half a step is taken from it."""
    a = (lowest_sum << plan.pre) + plan.start.astype(np.int64)
    lowest = plan.offset.astype(np.int64) - plan.sign_step + (a * plan.multiplier >> 32)
    half = (np.int64(1) << plan.shift) >> 1
    return bool(np.all((lowest - half >= INT32_MIN) | (plan.multiplier == 0)))
