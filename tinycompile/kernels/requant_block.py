"""Requantisation at the end of a block function: arguments of the macros that define one (`tc_requant_block.h`)."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.numerics.requant_plan import RequantPlan


@dataclass(frozen=True)
class RequantBlock:
    """The constants that are immediates: one block function for each distinct one.

    Attributes:
        clamp_steps: instructions per result that narrow the saturated byte to [low, high].
        rounded: TFLite's two roundings as they are written, of twice the sum; then it isn't `signed`.
        apart: sums begin with what is in RAM.
    """

    signed: bool
    unsigned: bool
    bits: int
    shift: int
    low: int
    high: int
    clamp_steps: int
    rounded: bool = False
    apart: bool = False

    @property
    def form(self) -> str:
        """As the macros call it."""
        form = "smmlar" if self.rounded else "smmla_signed" if self.signed else "smmla"
        return f"{form}_apart" if self.apart else form

    @property
    def start_steps(self) -> int:
        """Instructions to load the starts of a pair of channels beyond those of starts among the weights."""
        return 2 * self.apart

    @property
    def high_steps(self) -> int:
        """Instructions per result for the high word and what is added to it."""
        return 2 if self.rounded else 3 if self.signed else 1

    @staticmethod
    def of(plan: RequantPlan) -> RequantBlock | None:
        """None where the plan has no such form."""
        if plan.form not in ("smmla", "smmla_signed"):
            return None
        steps = _clamp_steps(plan)
        if steps is None:
            return None
        signed = plan.form == "smmla_signed"
        return RequantBlock(signed, plan.unsigned, plan.saturate_bits, int(plan.shift[0]), plan.low, plan.high, steps)

    def name(self, kind: str) -> str:
        """Of the block function that `kind` names."""
        parts = [
            f"{'u' if self.unsigned else 's'}{self.bits}",
            f"asr{self.shift}",
            "signed" if self.signed else "rounded" if self.rounded else "",
            "apart" if self.apart else "",
        ]
        if self.clamp_steps:
            parts.append(f"clamp_{self.low}_{self.high}".replace("-", "m"))
        return "_".join((kind, *filter(None, parts)))

    def define(self, macro: str, kind: str, *sizes: int | str) -> str:
        """The macro's call that defines the block function `name(kind)`; `sizes` are its arguments before these."""
        saturate = "usat" if self.unsigned else "ssat"
        arguments = (self.name(kind), *sizes, self.form, saturate, self.bits, self.shift, self.low, self.high)
        return f"{macro}({', '.join(map(str, arguments))})"


def _clamp_steps(plan: RequantPlan) -> int | None:
    """A byte is clamped by pushing it against an end of its type and back again, first above, then below.

    Both ways back are one step where a byte holds their sum. None for a clamp to negative values only, which no
    activation makes.
    """
    smallest, largest = (0, 255) if plan.unsigned else (-128, 127)
    lowest, highest = plan.saturate_range
    above = largest - plan.high if plan.high < highest else 0
    below = plan.low - smallest if plan.low > lowest else 0
    if max(above, below) > largest:
        return None
    if above and below:
        return 3 if above + below <= largest else 4
    return 2 if above or below else 0
