"""`tinycompile plan`: the memory map of a model, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from tinycompile.codegen.layer_names import layer_names, told_apart_by
from tinycompile.copy_choice import Estimate
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.ops._training.losses import BeginBackward
from tinycompile.planner.draw import ascii_map
from tinycompile.report.core_sections import CoreTimesSection
from tinycompile.report.facts import arena_facts
from tinycompile.report.timing import core_times_section
from tinycompile.report.weights import by_bits, layer_weights
from tinycompile.targets import Board


def plan_lines(models: Sequence[Lowered], layout: Layout, copies: Estimate, board: Board) -> Iterator[str]:
    """What `plan` prints: per model its figures and its map, then where everything goes."""
    for model in models:
        planned = model.planned
        gap = planned.arena_bytes - planned.lower_bound_bytes
        yield f"{model.name}: {_bytes(planned.arena_bytes)} of arena, {_proof(gap)}"
        if planned.scratch_bytes:
            yield f"  and {_bytes(planned.scratch_bytes)} of scratch in {layout.scratch.name if layout.scratch else ''}"
        if planned.state_bytes:
            whole = planned.arena_bytes + planned.state_bytes
            yield f"  and {_bytes(planned.state_bytes)} of states beside it: {_bytes(whole)} together"
        order = "no other order needs less" if planned.order_optimal else "the best order found in the time there is"
        yield f"  executed {_schedule(model)}; {order}"
        begin = [step for step, node in enumerate(planned.graph.nodes) if isinstance(node.op, BeginBackward)]
        of = "training step" if begin else "inference"
        yield f"  about {planned.instructions:,} instructions per {of} (an estimate)"
        yield from _cores(model, layout, board)
        if begin:
            yield f"  a prediction ends with step {begin[0]}, the backward pass begins with step {begin[0] + 1}"
        layers = zip(planned.graph.nodes, planned.kernels, strict=True)
        weights = [(layer_weights(planned.graph, node).bits, kernel.constant_bytes) for node, kernel in layers]
        total = f"{_bytes(sum(size for _, size in weights))} of weights"
        yield f"  {': '.join(filter(None, (total, ', '.join(by_bits(weights)))))}"
        if planned.squeezed:
            yield f"  {planned.squeezed} of {len(planned.kernels)} layers use a slower kernel that needs less RAM"
        yield ""
        yield ascii_map(planned.problem, planned.placement)
        yield ""
    place = f"{layout.arena.name} ({_bytes(layout.arena.bytes)} at {layout.arena.origin:#010x})"
    shared = "the models share one arena" if len(models) > 1 else "the arena is"
    yield f"{shared} in {place}; stack and data in {layout.system.name}"
    for (kind, memory), size in copies.sections.items():
        yield f"start-up copies about {_bytes(size)} of {kind} to {memory.name} (an estimate)"


def _cores(model: Lowered, layout: Layout, board: Board) -> Iterator[str]:
    """What two cores take that aren't alike."""
    times = core_times_section(model.planned, layout, board)
    if times is not None:
        each = ", ".join(f"{core.name} computes for {core.milliseconds:.2f} ms" for core in times.cores)
        yield f"  about {times.milliseconds:.2f} ms on two cores: {each} (an estimate)"


def plan_facts(models: Sequence[Lowered], layout: Layout, copies: Estimate, board: Board) -> dict[str, Any]:
    """For `plan --json`: bytes, estimated instructions, and every block of each arena with its place and lifetime."""
    memories = {"arena": layout.arena, "stack": layout.system, "scratch": layout.scratch}
    return {
        "models": [_facts(model, core_times_section(model.planned, layout, board)) for model in models],
        "memories": {
            what: {"name": memory.name, "origin": memory.origin, "bytes": memory.bytes}
            for what, memory in memories.items()
            if memory is not None
        },
        "copies_estimate": [
            {"kind": kind, "memory": memory.name, "bytes": size} for (kind, memory), size in copies.sections.items()
        ],
    }


def _facts(model: Lowered, cores: CoreTimesSection | None) -> dict[str, Any]:
    planned = model.planned
    return {
        "model": model.name,
        "arena_bytes": planned.arena_bytes,
        "arena_lower_bound_bytes": planned.lower_bound_bytes,
        "scratch_bytes": planned.scratch_bytes,
        "state_bytes": planned.state_bytes,
        "order": "optimal" if planned.order_optimal else "best found",
        "instructions_estimate": planned.instructions,
        "core_times": None if cores is None else asdict(cores),
        "macs": planned.macs,
        "layers": [
            {
                "name": node.name,
                "op": node.op.title,
                "kernel": kernel.variant,
                "weights_bytes": kernel.constant_bytes,
                "weight_bits": layer_weights(planned.graph, node).bits,
            }
            for node, kernel in zip(planned.graph.nodes, planned.kernels, strict=True)
        ],
        "stages": [{"first": stage.first, "last": stage.last, "how": stage.how} for stage in planned.stages],
        "arena": asdict(arena_facts(planned)),
    }


def _schedule(model: Lowered) -> str:
    """How, and which layers belong together."""
    stages, nodes = model.planned.stages, model.planned.graph.nodes
    if not stages:
        return "layer by layer"
    names = layer_names([told_apart_by(node.name, node.op.title) for node in nodes], set())
    found = [
        f"layers {stage.first} to {stage.last - 1} ({names[stage.first]} to {names[stage.last - 1]}), {stage.how}"
        for stage in stages
    ]
    return f"in stages: {'; '.join(found)}"


def _proof(gap: int) -> str:
    return "proved minimal for its kernels and order" if gap == 0 else f"at most {gap:,} bytes above the minimum"


def _bytes(number: int) -> str:
    return f"{number:,} bytes"
