"""A model between planning and printing: what codegen and the report are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.codegen.interface import NO_FACTS, SourceFacts
from tinycompile.frontend.survey import NO_SURVEY, Survey
from tinycompile.planner import Planned
from tinycompile.planner.pareto import Point
from tinycompile.work import Work


@dataclass(frozen=True, eq=False)
class Lowered:
    """A model with its memory, before anything is printed.

    Attributes:
        nominal: the work of the model's own layers, before the passes.
        front: schedules among which RAM and instructions trade, if they were asked for.
        facts: what the file says of inputs and outputs.
        survey: what the file holds.
        quantization: what was measured when the model was quantised, if it was.
    """

    name: str
    source: Path
    nominal: dict[str, Work]
    planned: Planned
    front: list[Point] | None = None
    facts: SourceFacts = NO_FACTS
    survey: Survey = NO_SURVEY
    quantization: dict[str, Any] | None = None
