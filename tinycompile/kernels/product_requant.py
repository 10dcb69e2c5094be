"""Requantisation by a product in C (`runtime/kernels/tc_product_requant.h`): where sums carry no factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant, Deferred
from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.requant_plan import RequantPlan

_PRE = (8, 6, 4, 2, 0)
"""Left shifts of the sum that are tried: the larger, the more exact; the smaller, the larger the sums may be."""


@dataclass(frozen=True, eq=False)
class ProductRequant:
    """A proved plan in one of the forms with a high product."""

    plan: RequantPlan

    @staticmethod
    def of(layer: LinearLayer, extra: Array | int = 0, shifts: Sequence[int] = _PRE) -> ProductRequant | None:
        """None where no form of it is exact.

        Args:
            extra: what the kernel's sum has beside acc_raw, per channel.
            shifts: left shifts of the sum that are tried, in this order.
        """
        for pre in shifts:
            if layer.fits(pre):
                plan = layer.solve(pre, np.asarray(extra) << pre)
                if plan.form != "exact":
                    return ProductRequant(plan)
        return None

    @property
    def fields(self) -> Fields:
        """Members of a `tc_product_requant`."""
        plan = self.plan
        return {
            "pre": plan.pre,
            "shift": -1 if plan.form == "smmla_shift" else plan.immediate_shift,
            "is_signed": int(plan.form == "smmla_signed"),
            "low": plan.low,
            "high": plan.high,
        }

    @property
    def beyond(self) -> int:
        """Instructions per output on Thumb-2 beyond a product, an addition, a shift and SSAT to int8."""
        clamped = (self.plan.low > -128) + (self.plan.high < 127)
        return 2 * (self.plan.form == "smmla_signed") + 2 * (self.plan.form == "smmla_shift") + 3 * clamped

    def vectors(self, lanes: int) -> Constant:
        """int32 per `lanes` channels: starts, multipliers, offsets and, where the form has any, extras."""
        plan = self.plan
        fields = [plan.start, plan.multiplier, plan.offset]
        if plan.form != "smmla":
            fields.append(plan.shift if plan.form == "smmla_shift" else plan.sign_step)

        def interleaved() -> Array:
            filled = np.pad(np.stack(fields), ((0, 0), (0, -plan.start.size % lanes)))
            return filled.reshape(len(fields), -1, lanes).transpose(1, 0, 2).ravel().astype(np.int32)

        words = Deferred(len(fields) * -(-plan.start.size // lanes) * lanes, np.int32, interleaved)
        each = "channel" if lanes == 1 else f"{lanes} channels"
        return Constant("requant", "int32_t", words, f"per {each}: start, multiplier, offset, extra where it needs one")
