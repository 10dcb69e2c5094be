"""A plan as text: addresses upwards, steps to the right, a mark per buffer."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters, digits

from tinycompile.planner.problem import Buffer, Plan, Problem

_MARKS = ascii_letters + digits
_LISTED = 12
_NAME_WIDTH = 48


def ascii_map(problem: Problem, plan: Plan, rows: int = 20, columns: int = 96) -> str:
    """The arena over time as text, for a terminal; `*` where buffers share memory.

    Args:
        problem: without options.
        rows, columns: at most; a cell then stands for several bytes or steps.
    """
    buffers = _by_size(problem)
    marks = {b.name: _MARKS[i % len(_MARKS)] for i, b in enumerate(buffers)}
    steps = max((b.last for b in buffers), default=0)
    per_column, per_row = -(-steps // columns) or 1, -(-plan.arena_bytes // rows) or 1
    lines = [f"arena {plan.arena_bytes:,} bytes; a column is {_count(per_column, 'step')}, a row {per_row:,} bytes"]
    for row in reversed(range(-(-plan.arena_bytes // per_row))):
        cells = [
            _cell(buffers, plan, marks, (row * per_row, (row + 1) * per_row), (step, step + per_column))
            for step in range(0, steps, per_column)
        ]
        lines.append(f"{row * per_row:>10,} |{''.join(cells).rstrip()}")
    lines += [f"  {marks[b.name]}  {b.size:>9,} bytes  {_when(b):<14} {_short(b.name)}" for b in buffers[:_LISTED]]
    if len(buffers) > _LISTED:
        lines.append(f"  and {len(buffers) - _LISTED} smaller ones")
    return "\n".join(lines)


def _by_size(problem: Problem) -> list[Buffer]:
    return sorted(problem.buffers, key=lambda b: (-b.size, b.first, b.name))


def _cell(
    buffers: Sequence[Buffer], plan: Plan, marks: dict[str, str], memory: tuple[int, int], time: tuple[int, int]
) -> str:
    """The mark of the largest buffer there; shared where another lies in the same bytes at the same step."""
    found = [b for b in buffers if b.first < time[1] and time[0] < b.last and _reaches(b, plan, memory)]
    if not found:
        return " "
    shared = any(_share(found[0], other, plan) for other in found[1:])
    return "*" if shared else marks[found[0].name]


def _reaches(buffer: Buffer, plan: Plan, memory: tuple[int, int]) -> bool:
    start = plan.offsets[buffer.name]
    return start < memory[1] and memory[0] < start + buffer.size


def _share(a: Buffer, b: Buffer, plan: Plan) -> bool:
    start_a, start_b = plan.offsets[a.name], plan.offsets[b.name]
    return a.live_with(b) and start_a < start_b + b.size and start_b < start_a + a.size


def _when(buffer: Buffer) -> str:
    last = buffer.last - 1
    return f"step {buffer.first}" if last == buffer.first else f"steps {buffer.first}-{last}"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else f"...{name[3 - _NAME_WIDTH :]}"
