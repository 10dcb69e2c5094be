"""Requantisation of one sum at a time (`runtime/kernels/tc_scalar_requant.h`), by what the core multiplies fastest."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.ir import Array
from tinycompile.kernels.base import Constant
from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.kernels.product_requant import ProductRequant
from tinycompile.kernels.split_requant import SplitRequant
from tinycompile.numerics.latitude import RequantShape
from tinycompile.targets.core import Core

_UNUSED_SPLIT: Fields = {"low_bits": 1, "is_signed": 0}
_UNUSED_PRODUCT: Fields = {"pre": 0, "shift": 0, "is_signed": 0, "low": 0, "high": 0}


@dataclass(frozen=True, eq=False)
class ScalarRequant:
    """One of both.

    Attributes:
        instructions: per output.
    """

    way: SplitRequant | ProductRequant
    instructions: int

    @staticmethod
    def of(layer: LinearLayer, core: Core, extra: Array | int) -> ScalarRequant | None:
        """None where neither is exact.

        Args:
            extra: what the kernel's sum has beside acc_raw, per channel.
        """
        if core.has("long_multiply"):
            product = ProductRequant.of(layer, extra)
            return None if product is None else ScalarRequant(product, 12)
        split = SplitRequant.of(layer)
        if split is not None:
            return ScalarRequant(split, 30)
        product = ProductRequant.of(layer, extra)
        return None if product is None else ScalarRequant(product, 45)

    @property
    def fields(self) -> Fields:
        """Members of a `tc_scalar_requant`."""
        is_split = isinstance(self.way, SplitRequant)
        split, product = (self.way.fields, _UNUSED_PRODUCT) if is_split else (_UNUSED_SPLIT, self.way.fields)
        return {"is_split": int(is_split), "split": split, "product": product}

    @property
    def form(self) -> str:
        """For the report."""
        return self.way.form if isinstance(self.way, SplitRequant) else self.way.plan.form

    @property
    def shape(self) -> RequantShape | None:
        """What of it is in the code, where another plan can have the same."""
        return None if isinstance(self.way, SplitRequant) else self.way.plan.shape_in_code

    @property
    def packed_finish(self) -> tuple[str, str]:
        """Name and definition of the function that requantises packed pixels (tc_packed.h)."""
        if isinstance(self.way, SplitRequant):
            form, bits = "signed" if self.way.line.signed else "plain", self.way.line.low_bits
            name = f"packed_finish_{form}_{bits}"
            return name, f"TC_PACKED_FINISH_SPLIT({name}, {form}, {bits})"
        numbers = list(self.way.fields.values())
        name = "_".join(["packed_finish", *map(str, numbers)]).replace("-", "m")
        return name, f"TC_PACKED_FINISH_PRODUCT({name}, {', '.join(map(str, numbers))})"

    @property
    def packed_instructions(self) -> int:
        """Per output of that function."""
        if isinstance(self.way, SplitRequant):
            return 18 if self.way.line.signed else 16
        return self.instructions

    @property
    def finish_instructions(self) -> float:
        """The same by a product on Thumb-2, as GCC compiles `tc_packed_finish_portable`."""
        return 9.5 if isinstance(self.way, SplitRequant) else 9.5 + self.way.beyond

    def channels(self, extra: Array | int = 0) -> Constant:
        """Constants per channel."""
        return self.way.channels(extra) if isinstance(self.way, SplitRequant) else self.way.vectors(1)
