"""What a layer's code may depend on where its weights can be replaced without it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

Form = Literal["smmla", "smmla_signed", "smmla_shift", "exact"]
"""A machine sequence of `requant_solver`."""


@dataclass(frozen=True)
class RequantShape:
    """What of a requantisation is in the code, and not in the constants.

    Attributes:
        pre: the left shift that the kernel's accumulator carries.
        form: the machine sequence.
        shift: S where it is part of the instruction; None where every channel has its own.
        factor: what the kernel's accumulator is multiplied by besides 2^pre.
    """

    pre: int
    form: Form
    shift: int | None
    factor: int = 1


@dataclass(frozen=True)
class Latitude:
    """For weights that can be replaced without the code: what the search must leave room for, or stick to.

    Attributes:
        shape: the only one allowed; None for any that leaves room.
    """

    shape: RequantShape | None = None

    SPARE_BITS: ClassVar[tuple[int, ...]] = (2, 1, 0)
    """Of the shift, for larger scales and sums: as many as there are lines for."""

    SPARE_RANGE: ClassVar[float] = 1.25
    """Times the reachable accumulators must fit in int32."""
