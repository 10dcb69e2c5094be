"""Pictures of a plan: addresses upwards, steps to the right, a block per buffer."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import ascii_letters, digits

from tinycompile.planner.problem import Buffer, Plan, Problem

_MARKS = ascii_letters + digits
_LISTED = 12
_NAME_WIDTH = 48

_WIDTH, _HEIGHT = 900, 360
_LEFT, _BOTTOM = 80, 24
_STYLE = """
.map { font: 11px system-ui, sans-serif; --ink: #333; --line: #bbb; --light: 62%; background: #fff }
@media (prefers-color-scheme: dark) { .map { --ink: #ddd; --line: #555; --light: 45%; background: #181818 } }
.map text { fill: var(--ink) }
.map line { stroke: var(--line) }
.map rect { stroke: var(--ink); stroke-width: .5; fill-opacity: .75 }
.map rect:hover { fill-opacity: 1; stroke-width: 2 }
"""


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


def svg_map(problem: Problem, plan: Plan) -> str:
    """The same as a self-contained SVG for light and dark pages; hovering tells name, bytes, addresses, lifetime."""
    buffers = _by_size(problem)
    steps = max((b.last for b in buffers), default=1)
    across, up = (_WIDTH - _LEFT) / max(1, steps), (_HEIGHT - _BOTTOM) / max(1, plan.arena_bytes)
    shapes = [_axis(plan.arena_bytes * i // 4, up) for i in range(5)]
    shapes += [_block(b, plan.offsets[b.name], index, across, up) for index, b in enumerate(buffers)]
    shapes += [_step_label(step, across) for step in range(0, steps, max(1, -(-steps // 20)))]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="map" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="arena of {plan.arena_bytes} bytes over {steps} steps">'
        f"<style>{_STYLE}</style>{''.join(shapes)}</svg>"
    )


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


def _block(buffer: Buffer, start: int, index: int, across: float, up: float) -> str:
    top = _HEIGHT - _BOTTOM - (start + buffer.size) * up
    hue = index * 137 % 360
    title = f"{buffer.name}: {buffer.size:,} bytes at {start:,}, {_when(buffer)}"
    return (
        f'<rect x="{_LEFT + buffer.first * across:.1f}" y="{top:.1f}" '
        f'width="{(buffer.last - buffer.first) * across:.1f}" height="{buffer.size * up:.1f}" '
        f'style="fill: hsl({hue} 55% var(--light))"><title>{escape(title)}</title></rect>'
    )


def _axis(address: int, up: float) -> str:
    y = _HEIGHT - _BOTTOM - address * up
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{max(10, y + 4):.1f}" text-anchor="end">{address:,}</text>'
    )


def _step_label(step: int, across: float) -> str:
    return f'<text x="{_LEFT + (step + 0.5) * across:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{step}</text>'


def _when(buffer: Buffer) -> str:
    last = buffer.last - 1
    return f"step {buffer.first}" if last == buffer.first else f"steps {buffer.first}-{last}"


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number:,} {what}s"


def _short(name: str) -> str:
    return name if len(name) <= _NAME_WIDTH else f"...{name[3 - _NAME_WIDTH :]}"
