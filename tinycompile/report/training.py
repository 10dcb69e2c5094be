"""What a report says of a model that learns: what is trained, and what a step takes beside a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tinycompile.codegen.program import Program
from tinycompile.codegen.training import TrainingMemory
from tinycompile.ir import Node
from tinycompile.kernels.cover import part_nodes
from tinycompile.ops._training.parameters import GradientDescent
from tinycompile.planner import Planned
from tinycompile.planner.problem import covered
from tinycompile.report.facts import live_bytes
from tinycompile.report.sections import PhaseSection, TrainedSection, TrainingSection
from tinycompile.training.step import training_of

Phase = Literal["forward", "backward", "update"]


def phase_of(step: int, node: Node, training: TrainingMemory | None) -> Phase:
    """What a layer is for. One that computes a gradient and applies it at once is an update."""
    if training is None or step <= training.begin:
        return "forward"
    return "update" if any(isinstance(part.op, GradientDescent) for part in part_nodes(node)) else "backward"


def training_section(program: Program, planned: Planned, source_sha256: str) -> TrainingSection | None:
    """None for a model that doesn't learn."""
    step, training = training_of(program.graph), program.training
    if step is None or training is None:
        return None
    kept, gradients = _memory(planned, training.begin)
    phases: list[Phase] = [phase_of(layer.index, layer.node, training) for layer in program.layers]
    offsets = {state.tensor.name: state.tensor.offset for state in program.states}
    return TrainingSection(
        learning_rate=step.learning_rate,
        label=step.label,
        loss=step.loss,
        classes=step.classes,
        parameters=[
            TrainedSection(name, t.shape, t.dtype.name, offsets[name], t.bytes)
            for name, t in ((name, program.graph.types[name]) for name in step.parameters)
        ],
        parameter_bytes=training.parameter_bytes,
        checkpoint="".join(f"{word:08x}" for word in training.checkpoint_words(source_sha256)),
        begin=training.begin,
        forward=_phase(program, phases, "forward"),
        backward=_phase(program, phases, "backward"),
        update=_phase(program, phases, "update"),
        prediction_bytes=max(live_bytes(planned)[: training.begin + 1]),
        kept_bytes=kept,
        gradient_bytes=gradients,
    )


def _phase(program: Program, phases: Sequence[Phase], phase: Phase) -> PhaseSection:
    layers = [layer for layer, own in zip(program.layers, phases, strict=True) if own == phase]
    macs = sum(layer.node.op.macs(program.graph.signature(layer.node)) for layer in layers)
    return PhaseSection(len(layers), macs, sum(layer.kernel.instructions for layer in layers))


def _memory(planned: Planned, begin: int) -> tuple[int, int]:
    """Bytes of the arena: that the forward pass keeps for the backward pass; that gradients and working memory take at
    most beside what is left of them.
    """
    buffers, offsets = planned.problem.buffers, planned.placement.offsets
    places = [(b, (offsets[b.name], offsets[b.name] + b.size)) for b in buffers]
    kept = covered(place for b, place in places if b.first <= begin and b.last > begin + 1)
    new = [(b, place) for b, place in places if b.first > begin]
    steps = range(begin + 1, len(planned.graph.nodes))
    most = max((covered(place for b, place in new if b.first <= step < b.last) for step in steps), default=0)
    return kept, most
