"""The error for a model that needs more RAM than there is: which tensors are in the way, and how much would do."""

from __future__ import annotations

from collections.abc import Sequence

from tinycompile.errors import DoesNotFitError
from tinycompile.kernels.base import Kernel
from tinycompile.planner.problem import Buffer, Plan
from tinycompile.planner.values import Values

_LONGEST_NAME = 48


def does_not_fit(where: str, values: Values, kernels: Sequence[Kernel], smallest: Plan, limit: int) -> DoesNotFitError:
    """What to tell the user.

    Args:
        kernels: those with which the arena is smallest; `smallest` is its plan.
        limit: bytes.
    """
    needs, problem = values.needs(kernels), values.problem(kernels)
    peak = max(range(len(needs)), key=lambda step: needs[step])
    live = sorted((b for b in problem.buffers if b.first <= peak < b.last), key=lambda b: -b.size)
    shared = {o.upper for o in problem.overlaps} & {o.upper for o in problem.overlaps if o.lower in _names(live)}
    listed = ", ".join(_described(buffer, buffer.name in shared) for buffer in live)
    how = "row by row" if values.stages else "layer by layer"
    error = DoesNotFitError(
        f"the model does not fit: its arena needs at least {smallest.arena_bytes:,} bytes of RAM, {limit:,} are there",
        where=where,
        why=f"at the peak, step {peak}, these are in use together: {listed}",
        hint=f"it fits from {smallest.arena_bytes:,} bytes, executed {how}: "
        "a larger --ram, another target, or a smaller model or input",
    )
    error.smallest_bytes = smallest.arena_bytes
    return error


def _names(buffers: Sequence[Buffer]) -> set[str]:
    return {buffer.name for buffer in buffers}


def _described(buffer: Buffer, shared: bool) -> str:
    name = buffer.name if len(buffer.name) <= _LONGEST_NAME else f"...{buffer.name[3 - _LONGEST_NAME :]}"
    return f"{name!r} ({buffer.size:,} bytes{', its memory partly reused by the result' if shared else ''})"
