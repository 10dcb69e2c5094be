"""`tinycompile plan --pareto`: what less RAM costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tinycompile.planner.pareto import Point

BAR = 40


def front_lines(name: str, points: Sequence[Point]) -> Iterator[str]:
    """A table with a bar for the instructions."""
    yield f"{name}: arena against estimated instructions"
    yield f"{'arena':>12}  {'instructions':>13}  {'MACs':>12}  schedule"
    most = max(point.instructions for point in points)
    for point in points:
        bar = "#" * max(1, round(BAR * point.instructions / most))
        yield (f"{point.arena_bytes:>12,}  {point.instructions:>13,}  {point.macs:>12,}  {point.schedule:20}  {bar}")
