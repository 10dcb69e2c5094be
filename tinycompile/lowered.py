"""A model between planning and printing: what codegen and the report are made from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinycompile.codegen.interface import NO_FACTS, SourceFacts
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
        source_graph: the file's operators, as `report.facts.source_graph` says.
        quantization: what was measured when the model was quantised, if it was.
    """

    name: str
    source: Path
    nominal: dict[str, Work]
    planned: Planned
    front: list[Point] | None = None
    facts: SourceFacts = NO_FACTS
    source_graph: dict[str, Any] = field(default_factory=dict[str, Any])
    quantization: dict[str, Any] | None = None
