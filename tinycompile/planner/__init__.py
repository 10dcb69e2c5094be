"""The memory planner (first version: greedy by size)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinycompile.errors import DoesNotFitError
from tinycompile.ir import Graph
from tinycompile.kernels.base import Kernel


@dataclass(frozen=True, eq=False)
class Planned:
    graph: Graph
    kernels: tuple[Kernel, ...]
    offsets: dict[str, int]
    scratch_offsets: tuple[int | None, ...]
    arena_bytes: int


def plan(graph: Graph, candidates: Sequence[Sequence[Kernel]], *, ram_limit: int | None, optimize: str) -> Planned:
    kernels = tuple(min(c, key=lambda k: k.instructions) for c in candidates)
    alias: dict[str, str] = {}
    for node, kernel in zip(graph.nodes, kernels, strict=True):
        if kernel.alias_of is not None:
            root = node.inputs[kernel.alias_of]
            alias[node.outputs[0]] = alias.get(root, root)
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    size: dict[str, int] = {}

    def touch(value: str, step: int) -> None:
        if value in graph.constants:
            return
        root = alias.get(value, value)
        first.setdefault(root, step)
        last[root] = max(last.get(root, step), step)
        size[root] = max(size.get(root, 0), graph.types[value].bytes)

    for value in graph.inputs:
        touch(value, 0)
    for step, (node, kernel) in enumerate(zip(graph.nodes, kernels, strict=True)):
        for value in (*node.inputs, *node.outputs):
            touch(value, step)
        if kernel.scratch_bytes:
            first[f"scratch {step}"] = last[f"scratch {step}"] = step
            size[f"scratch {step}"] = kernel.scratch_bytes
    for value in graph.outputs:
        touch(value, len(graph.nodes))
    placed: dict[str, int] = {}
    for name in sorted(size, key=lambda n: (-size[n], n)):
        others = sorted(
            (placed[o], placed[o] + size[o]) for o in placed if first[o] <= last[name] and first[name] <= last[o]
        )
        offset = 0
        for begin, end in others:
            if offset + size[name] <= begin:
                break
            offset = max(offset, -(-end // 8) * 8)
        placed[name] = offset
    arena = -(-max((placed[n] + size[n] for n in placed), default=0) // 8) * 8
    if ram_limit is not None and arena > ram_limit:
        raise DoesNotFitError(f"the model needs {arena} bytes of RAM and does not fit in {ram_limit}")
    offsets = {v: placed[alias.get(v, v)] for v in graph.types if alias.get(v, v) in placed}
    scratch = tuple(placed.get(f"scratch {i}") for i in range(len(kernels)))
    return Planned(graph, kernels, offsets, scratch, arena)
