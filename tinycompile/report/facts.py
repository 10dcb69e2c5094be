"""Facts that pictures are drawn from: who is where in the arena and when, the graph before and after, the board."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tinycompile.frontend.survey import Survey
from tinycompile.ir import Graph
from tinycompile.planner import Planned
from tinycompile.planner.pareto import Point
from tinycompile.planner.problem import covered
from tinycompile.planner.steps import Rows, StageTurns, Steps
from tinycompile.planner.values import scratch_name
from tinycompile.report.sections import (
    ArenaSection,
    BoardSection,
    BufferSection,
    CompiledGraph,
    CompiledNode,
    PointSection,
    SourceGraph,
    SourceNode,
    StepsSection,
)
from tinycompile.targets import Board


def board_facts(board: Board) -> BoardSection:
    """What a reader wants to know of the target."""
    return BoardSection(board.description, board.core.name, board.clock_hz, board.power)


def arena_facts(planned: Planned) -> ArenaSection:
    """Every block of the arena with its lifetime, half open, in steps; step n is the time after the last layer."""
    graph, offsets = planned.graph, planned.placement.offsets
    scratch = {scratch_name(step): step for step in range(len(graph.nodes))}
    buffers = list[BufferSection]()
    for buffer in sorted(planned.problem.buffers, key=lambda b: (b.first, offsets[b.name], b.name)):
        known = graph.types.get(buffer.name)
        kind = "tensor" if known is not None else "scratch" if buffer.name in scratch else "rows"
        buffers.append(
            BufferSection(
                name=f"scratch of {graph.nodes[scratch[buffer.name]].name}" if kind == "scratch" else buffer.name,
                kind=kind,
                shape=None if known is None else list(known.shape),
                dtype=None if known is None else known.dtype.name,
                bytes=buffer.size,
                offset=offsets[buffer.name],
                first=buffer.first,
                last=buffer.last,
            )
        )
    return ArenaSection(len(graph.nodes) + 1, buffers)


def live_bytes(planned: Planned) -> list[int]:
    """Bytes of the arena in use at each step, memory that two share counted once; the last is after all layers."""
    buffers, offsets = planned.problem.buffers, planned.placement.offsets
    return [
        covered((offsets[b.name], offsets[b.name] + b.size) for b in buffers if b.first <= step < b.last)
        for step in range(len(planned.graph.nodes) + 1)
    ]


def source_graph(survey: Survey, compiled: Graph) -> SourceGraph:
    """The operators of the model file, without those that compute constants.

    A node is `kept` where what it computes exists in the compiled graph; the others are part of a neighbour, or gone.
    """
    sources = {source.name for source in compiled.sources.values()}
    nodes = [SourceNode(t.name, "input", t.shape, kept=True) for t in survey.inputs]
    steps: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), (t.key,)) for t in survey.inputs]
    constant = {key for key, tensor in survey.tensors.items() if tensor.constant}
    for op in survey.operators:
        if constant.issuperset(op.inputs):
            constant.update(op.outputs)
            continue
        shape = survey.tensors[op.outputs[0]].shape if op.outputs else ()
        names = {survey.tensors[key].name for key in op.outputs}
        nodes.append(SourceNode(op.name, op.kind, shape, kept=bool(names & sources)))
        steps.append((op.inputs, op.outputs))
    return SourceGraph(nodes, _edges(steps))


def compiled_graph(graph: Graph) -> CompiledGraph:
    """The nodes that are executed; `layer` is the index in `layers`, None for an input."""
    nodes = list[CompiledNode]()
    steps = list[tuple[Sequence[str], Sequence[str]]]()
    for name in graph.inputs:
        nodes.append(CompiledNode(name, "input", graph.types[name].shape, None))
        steps.append(((), (name,)))
    for index, node in enumerate(graph.nodes):
        shape = graph.types[node.outputs[0]].shape
        nodes.append(CompiledNode(node.name, node.op.title, shape, index))
        steps.append((node.inputs, node.outputs))
    return CompiledGraph(nodes, _edges(steps))


def _edges(steps: Sequence[tuple[Sequence[str], Sequence[str]]]) -> list[tuple[int, int]]:
    """Pairs (producer, reader) of indices into `steps`; constants have no producer."""
    producer = {value: index for index, (_, outputs) in enumerate(steps) for value in outputs}
    return [
        (producer[value], index)
        for index, (inputs, _) in enumerate(steps)
        for value in dict.fromkeys(inputs)
        if value in producer
    ]


def pareto_facts(points: Sequence[Point]) -> list[PointSection]:
    """Schedules among which RAM and work trade, by falling RAM."""
    return [PointSection(point.arena_bytes, point.instructions, point.macs, point.schedule) for point in points]


def steps_facts(steps: Steps, graph: Graph) -> StepsSection:
    """An inference that returns between steps."""
    pieces, longest = Counter[str](), steps.longest
    for step in steps.steps:
        if isinstance(step, Rows):
            pieces[graph.nodes[step.layer].name] += step.times
    match longest:
        case Rows():
            executed = range(longest.layer, longest.layer + 1)
        case StageTurns():
            executed = range(longest.stage.first, longest.stage.last)
        case _:
            executed = range(longest.first, longest.last)
    names = [graph.nodes[layer].name for layer in executed]
    return StepsSection(steps.limit, steps.count, longest.instructions, names, steps.total, dict(pieces))
