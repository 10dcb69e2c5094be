"""A model between planning and printing: what codegen and the report are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinycompile.codegen.interface import NO_FACTS, SourceFacts
from tinycompile.frontend.survey import NO_SURVEY, Survey
from tinycompile.planner import Planned
from tinycompile.planner.pareto import Point
from tinycompile.planner.steps import Steps
from tinycompile.pruning import Pruning
from tinycompile.work import Work


@dataclass(frozen=True)
class Slide:
    """What `--slide` made of a model.

    Attributes:
        input: its number. axis: of its tensor. rows: of the window. step: of these that are new each time.
        instructions_estimate, macs, arena_bytes: of the whole window; None where it doesn't fit the target.
    """

    input: int
    axis: int
    rows: int
    step: int
    instructions_estimate: int | None
    macs: int
    arena_bytes: int | None


@dataclass(frozen=True, eq=False)
class Lowered:
    """A model with its memory, before anything is printed.

    Attributes:
        nominal: the work of the model's own layers, before the passes.
        front: schedules among which RAM and instructions trade, if they were asked for.
        facts: what the file says of inputs and outputs.
        survey: what the file holds.
        slide: for a model whose input is what is new in a window.
        folded: the number of the output that has the scores of a softmax that isn't computed, if one has.
        pruning: for a model that has fewer tokens behind some attentions.
        steps: of an inference that returns between them, if there is to be one.
        quantization: what was measured when the model was quantised, if it was.
        is_width: one of several widths, whose functions are in one C file.
    """

    name: str
    source: Path
    nominal: dict[str, Work]
    planned: Planned
    front: list[Point] | None = None
    facts: SourceFacts = NO_FACTS
    survey: Survey = NO_SURVEY
    slide: Slide | None = None
    pruning: Pruning | None = None
    folded: int | None = None
    steps: Steps | None = None
    quantization: dict[str, Any] | None = None
    is_width: bool = False


def saved_names(models: Sequence[Lowered]) -> list[str]:
    """What the copies of the source files are called in an output folder: as they are, unless files of several folders
    have the same name; then as the models.
    """
    names = [model.source.name for model in models]
    if len({name.lower() for name in names}) == len(names):
        return names
    return [model.name + model.source.suffix for model in models]
