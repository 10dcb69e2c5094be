"""An inference in steps as data: what `<model>_invoke_steps` executes between two returns.

`templates/c/model/steps.c.j2` prints it; what a step of whole layers or of a stage executes, `blocks` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tinycompile.codegen.arguments import Argument, ConstantName, Place, Scratch
from tinycompile.codegen.stream import StageLoop
from tinycompile.ir import Graph
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.planner.stage import Stage
from tinycompile.planner.steps import Rows, StageTurns, Step, Steps, WholeLayers


@dataclass(frozen=True, eq=False)
class PieceCall:
    """What computes piece n of a layer.

    Attributes:
        rows: of the first piece, which has as many as the others. size: rows of the layer. what: "rows" or "channels".
    """

    function: str
    arguments: tuple[Argument, ...]
    rows: range
    size: int
    what: str


@dataclass(frozen=True, eq=False)
class StepCode:
    """A step.

    Attributes:
        first, last: its layers [first, last). instructions: of one execution, estimated.
        piece: where it computes pieces of its only layer. done: whether that is complete after them.
        stage: of which it executes a tick or a patch.
    """

    first: int
    last: int
    instructions: int
    times: int
    piece: PieceCall | None = None
    done: bool = True
    stage: Stage | None = None


@dataclass(frozen=True, eq=False)
class PushedRows:
    """Which turns of a step ask for rows of the input: those at `phase + period * n`.

    Attributes:
        step: its number. turns: that ask. rows: which each asks for.
    """

    step: int
    phase: int
    period: int
    turns: int
    rows: int


def pushed_rows(
    steps: Sequence[StepCode], stages: Sequence[StageLoop], asked: Callable[[int], int | None]
) -> PushedRows | None:
    """Of a model in steps that is given the rows of its input; None of another one.

    Args:
        asked: the rows that a layer asks for in its turn, by its index; None of a layer that doesn't ask.
    """
    for number, step in enumerate(steps):
        for turn in (turn for loop in stages for turn in loop.turns if step.stage and loop.first == step.first):
            rows = asked(turn.layer)
            if rows is not None:
                return PushedRows(number, turn.phase, turn.period, turn.firings, rows)
    return None


def step_codes(
    steps: Steps | None,
    graph: Graph,
    function: Callable[[Kernel], str],
    constant: Callable[[Constant, int], ConstantName],
) -> tuple[StepCode, ...]:
    """The steps of a plan, if it has any.

    Args:
        function, constant: what those of a kernel are called; a constant's by the layer that it is of.
    """

    def code(step: Step) -> StepCode:
        match step:
            case WholeLayers():
                return StepCode(step.first, step.last, step.instructions, step.times)
            case StageTurns():
                stage = step.stage
                return StepCode(stage.first, stage.last, step.instructions, step.times, stage=stage)
            case Rows():
                constants = [constant(each, step.layer) for each in step.kernel.constants]
                if step.offsets:
                    placed = zip(constants, step.offsets, strict=True)
                    constants = [replace(each, offset=first, step=by) for each, (first, by) in placed]
                piece = _piece(step, graph, function(step.kernel), constants)
                return StepCode(step.layer, step.layer + 1, step.instructions, step.times, piece, step.last)

    return tuple(map(code, steps.steps if steps else ()))


def _piece(step: Rows, graph: Graph, function: str, constants: list[ConstantName]) -> PieceCall:
    node = graph.nodes[step.layer]
    arguments: list[Argument] = [
        place_of(graph, name, *step.reads.get(operand, (0, 0)))
        for operand, name in enumerate(node.inputs)
        if name not in graph.constants
    ]
    arguments += [place_of(graph, node.outputs[0], *step.writes), *constants]
    arguments += [Scratch()] if step.kernel.scratch_bytes else []
    return PieceCall(function, tuple(arguments), step.rows, step.size, "channels" if step.offsets else "rows")


def place_of(graph: Graph, value: str, first: int, step: int = 0) -> Place:
    """A value from a byte on, `step` bytes further in each turn."""
    item = max(graph.types[value].dtype.bits // 8, 1)
    return Place(value, first // item, step // item)
