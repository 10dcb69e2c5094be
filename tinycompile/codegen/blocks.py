"""What `<model>_infer` does in turn, and where each value gets its name in C."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from tinycompile.codegen.parts import Layer
from tinycompile.codegen.program import Program
from tinycompile.codegen.steps import StepCode
from tinycompile.codegen.stream import StageLoop


@dataclass(frozen=True, eq=False)
class LayerBlock:
    """A layer of which the whole tensors are in memory.

    Attributes:
        declared: keys of the values that are named before it.
        moves_scratch: its working memory isn't where it was before.
    """

    layer: Layer
    declared: tuple[str, ...]
    moves_scratch: bool


@dataclass(frozen=True, eq=False)
class StageBlock:
    """Layers that are executed together. Values are named in the innermost scope that uses them: what a compiler keeps
    in registers around a loop it spills to the stack.

    Attributes:
        before, after: keys of the values that are named before and after its loops.
        lines: of each turn, the line buffer that is named before its rows move.
        declared: of each turn, the values that are named before the layer's call.
    """

    stage: StageLoop
    before: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    declared: tuple[tuple[str, ...], ...]
    after: tuple[str, ...]


Block = LayerBlock | StageBlock

MOST_NAMES = 3
"""That a comment on a step lists."""


def blocks_of(program: Program, first: int = 0, last: int | None = None) -> list[Block]:
    """In order of execution; of the layers [first, last), as if nothing had a name before."""
    starts = {stage.first: stage for stage in program.stages}
    inside = {index for stage in program.stages for index in range(stage.first, stage.last)}
    found, known, scratch = list[Block](), set[str](), None
    for layer in program.layers[first:last]:
        if layer.index in starts:
            stage = starts[layer.index]
            found.append(_stage(stage, program.layers[stage.last - 1].outputs[0].name, known))
            scratch = None  # wherever its layers had it
        elif layer.index not in inside:
            values = [t.name for t in (*(layer.inputs if layer.function else ()), *layer.outputs)]
            moves = layer.scratch is not None and layer.scratch != scratch
            scratch = layer.scratch if moves else scratch
            found.append(LayerBlock(layer, _new(values, known), moves))
            known.update(values)
    return found


def _stage(stage: StageLoop, output: str, known: set[str]) -> StageBlock:
    """What is named before and after the stage becomes known."""
    before = _new([fill.place.value for fill in (*stage.sums, *stage.initial)], known)
    known.update(before)
    lines, declared, named = list[tuple[str, ...]](), list[tuple[str, ...]](), set(known)
    for turn in stage.turns:
        lines.append(_new([turn.output] if turn.move or turn.fill else [], named))
        declared.append(_new(turn.values, named.union(lines[-1])))
        if stage.mode == "patch":  # one scope for all turns
            named.update(turn.values)
    after = _new([*(name for _, name in stage.beside), output], known)
    known.update(after)
    return StageBlock(stage, before, tuple(lines), tuple(declared), after)


def step_blocks(program: Program, step: StepCode) -> list[Block]:
    """What a step of whole layers or of a stage executes. A patch and what follows the last one share a scope."""
    return [
        replace(block, after=_new(block.after, {value for turn in block.declared for value in turn}))
        if isinstance(block, StageBlock) and block.stage.mode == "patch"
        else block
        for block in blocks_of(program, step.first, step.last)
    ]


def step_values(program: Program, step: StepCode) -> tuple[str, ...]:
    """Keys of the values that a step of pieces names."""
    layer = program.layers[step.first]
    return _new([t.name for t in (*layer.inputs, *layer.outputs)], ())


def step_comment(program: Program, step: StepCode) -> str:
    """What a step executes, in words."""
    names = [layer.name for layer in program.layers[step.first : step.last]]
    if step.piece is not None:
        first, rows = step.piece.rows.start, len(step.piece.rows)
        last, together = first + rows * step.times - 1, f", {rows} at a time" if step.times > 1 else ""
        return f"{names[0]}: {step.piece.what} {first} to {last} of {step.piece.size}{together}"
    listed = ", ".join(names) if len(names) <= MOST_NAMES else f"{names[0]} to {names[-1]}"
    if step.stage is not None:
        return f"a {'tick' if step.stage.mode == 'stream' else 'patch'} of {listed}"
    return listed


def _new(values: Iterable[str], known: Collection[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value for value in values if value not in known))
