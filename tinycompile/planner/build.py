"""From a graph and its chosen kernels to a planning problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel
from tinycompile.planner.problem import Buffer, Overlap, Problem


def scratch_name(step: int) -> str:
    """Name of a node's scratch buffer; no value has it, since value names are not tuples of this form."""
    return f"<scratch of step {step}>"


def storage_of(graph: Graph, kernels: Sequence[Kernel]) -> dict[str, str]:
    """The value whose memory each value in RAM uses: itself, or the root of a chain of aliases."""
    storage = {name: name for name in graph.inputs}
    for node, kernel in zip(graph.nodes, kernels, strict=True):
        for name in node.outputs:
            storage[name] = name if kernel.alias_of is None else storage[node.inputs[kernel.alias_of]]
    return storage


def problem_of(graph: Graph, kernels: Sequence[Kernel]) -> Problem:
    """Lifetimes: inputs from step 0, outputs to the end, scratch during its step, everything else from its
    producer to its last reader.
    """
    storage = storage_of(graph, kernels)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size = Counter[str]()

    def touch(value: str, step: int) -> None:
        if value in storage:
            root = storage[value]
            first[root] = min(first.get(root, step), step)
            last[root] = max(last.get(root, step), step)
            size[root] = max(size[root], graph.types[value].bytes)

    for value in graph.inputs:
        touch(value, 0)
    for step, node in enumerate(graph.nodes):
        for value in (*node.inputs, *node.outputs):
            touch(value, step)
    for value in graph.outputs:
        touch(value, len(graph.nodes))
    buffers = [Buffer(name, size[name], first[name], last[name] + 1) for name in first]
    buffers += [
        Buffer(scratch_name(step), kernel.scratch_bytes, step, step + 1)
        for step, kernel in enumerate(kernels)
        if kernel.scratch_bytes
    ]
    return Problem(tuple(b for b in buffers if b.size), _overlaps(graph, kernels, storage, first, last))


def _overlaps(
    graph: Graph, kernels: Sequence[Kernel], storage: dict[str, str], first: dict[str, int], last: dict[str, int]
) -> tuple[Overlap, ...]:
    """What the kernels allow, where the operand dies and the output is born at that step."""
    overlaps = list[Overlap]()
    for step, (node, kernel) in enumerate(zip(graph.nodes, kernels, strict=True)):
        readings = Counter(storage[name] for name in node.inputs if name in storage)
        distances = {0: 0} if kernel.in_place else kernel.overlap
        for operand, distance in distances.items():
            if node.inputs[operand] not in storage:
                continue
            upper, lower = storage[node.inputs[operand]], storage[node.outputs[0]]
            dies_here = last[upper] == step and first[lower] == step and upper != lower
            if dies_here and readings[upper] == 1:
                overlaps.append(Overlap(upper, lower, distance, exact=kernel.in_place))
    return tuple(overlaps)
