"""Which layers are trained, and how: the largest sum of gains for the bytes granted, by an integer programme.

Gains add up over layers, which is the model of contribution analysis. Bytes do too, but for the backward pass: its
gradients and masks depend on how far down it goes, so each first trained layer has bytes of its own. OR-Tools' CP-SAT
solves it exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinycompile.contribution.analysis import Candidate
from tinycompile.planner.cp_sat import cp_model

UNITS = 1_000_000
"""Of a percentage point; bytes decide among equal gains."""

_SECONDS = 20.0


def best(candidates: Sequence[Candidate], depths: Mapping[str, int], limit: int) -> list[Candidate]:
    """At most one of each layer.

    Args:
        depths: by layer, in the order of execution: bytes of a backward pass that ends there.
        limit: bytes of all together.
    """
    worth = [each for each in candidates if each.gain > 0]
    model: Any = cp_model().CpModel()
    chosen = [model.NewBoolVar(f"c{index}") for index in range(len(worth))]
    layers = list(depths)
    ends = {name: model.NewBoolVar(f"e{index}") for index, name in enumerate(layers)}
    model.Add(sum(ends.values()) <= 1)
    for name in layers:
        own = [variable for variable, each in zip(chosen, worth, strict=True) if each.layer == name]
        if own:
            reached = sum(ends[below] for below in layers[: layers.index(name) + 1])
            model.Add(sum(own) <= reached)
    total = sum(variable * each.bytes for variable, each in zip(chosen, worth, strict=True))
    total += sum(ends[name] * size for name, size in depths.items())
    model.Add(total <= limit)
    gains = sum(variable * round(each.gain * UNITS) for variable, each in zip(chosen, worth, strict=True))
    model.Maximize(gains * 8 - total)
    solver: Any = cp_model().CpSolver()
    solver.parameters.max_time_in_seconds = _SECONDS
    solver.parameters.num_workers = 1
    status = solver.Solve(model)
    if status not in (cp_model().OPTIMAL, cp_model().FEASIBLE):
        return []
    return [each for variable, each in zip(chosen, worth, strict=True) if solver.Value(variable)]
