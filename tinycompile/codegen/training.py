"""Where a training step's program has what its functions read and write (docs/training.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tinycompile.ir import Graph
from tinycompile.training.step import training_of


@dataclass(frozen=True)
class TrainingMemory:
    """Offsets in the memory of states, in bytes.

    Attributes:
        begin: the layer behind which only training follows.
        label_bytes: of the label. classes: of how many it is the number; None where it is what the output should be.
    """

    begin: int
    label: int
    label_bytes: int
    rate: int
    loss: int
    classes: int | None


def training_memory(graph: Graph, offsets: Mapping[str, int]) -> TrainingMemory | None:
    """Of a planned graph; None where it isn't a training step.

    Args:
        offsets: of values in RAM; those of states in the memory of states.
    """
    step = training_of(graph)
    if step is None:
        return None
    return TrainingMemory(
        step.begin,
        offsets[step.label],
        graph.types[step.label].bytes,
        offsets[step.learning_rate],
        offsets[step.loss],
        step.classes,
    )
