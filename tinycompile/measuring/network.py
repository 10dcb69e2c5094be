"""What a planned model takes by the measures of its layers."""

from __future__ import annotations

from dataclasses import dataclass

from tinycompile.measuring.known import Measures
from tinycompile.measuring.unit import units_of
from tinycompile.planner import Planned


@dataclass(frozen=True)
class Measurement:
    """Of a model.

    Attributes:
        instructions: of each layer; None for those that aren't measured.
        outside: instructions of an inference that belong to no layer.
    """

    instructions: tuple[int | None, ...]
    outside: int


def measured_network(planned: Planned, measures: Measures, *, missing: bool) -> Measurement:
    """Add up.

    Args:
        missing: measure layers that aren't known.

    Raises:
        ToolMissingError, ToolFailedError: as `Measures.measure`.
    """
    units = units_of(planned)
    if missing:
        measures.measure(unit for unit in units if unit is not None and unit.kernel.function is not None)
    base = measures.get(measures.nothing)
    outside = 0 if base is None else base.instructions
    found = list[int | None]()
    for unit in units:
        if unit is None or base is None:
            found.append(None)
        elif unit.kernel.function is None:
            found.append(0)
        else:
            known = measures.get(unit)
            found.append(None if known is None else known.instructions - outside)
    return Measurement(tuple(found), outside)
