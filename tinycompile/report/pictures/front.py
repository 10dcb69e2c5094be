"""The Pareto front: RAM to the right, multiply-accumulates or instructions upwards, and the point that was chosen."""

from __future__ import annotations

from dataclasses import dataclass
from math import log10
from typing import Any

from markupsafe import Markup

from tinycompile.report.pictures import draw
from tinycompile.report.sections import PointSection

WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 16, 40


@dataclass(frozen=True)
class Mark:
    """A point; `index` is its place in `pareto`, None for the chosen one."""

    x: float
    y: float
    index: int | None
    bytes: int
    title: str


def chosen_point(report: dict[str, Any]) -> PointSection:
    """What was built, in the terms of the front."""
    stages = len(report["stages"])
    return PointSection(
        arena_bytes=report["ram"]["arena_bytes"],
        instructions_estimate=sum(layer["instructions_estimate"] for layer in report["layers"]),
        macs=report["macs"]["executed"],
        schedule="layer by layer" if not stages else f"{stages} stage{'s' if stages > 1 else ''}",
    )


def front_picture(report: dict[str, Any], key: str, name: str) -> Markup:
    """Points of `report["pareto"]` and the chosen one.

    Args:
        key: "macs" or "instructions_estimate". name: of that axis.
    """
    points, chosen = [PointSection(**point) for point in report["pareto"]], chosen_point(report)
    x = _Scale([p.arena_bytes for p in (*points, chosen)], LEFT, WIDTH - RIGHT)
    y = _Scale([getattr(p, key) for p in (*points, chosen)], HEIGHT - BOTTOM, TOP)
    marks = [_mark(point, key, x, y, index) for index, point in enumerate(points)]
    line = " ".join(f"{mark.x},{mark.y}" for mark in marks)
    return draw(
        "front.svg.j2",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        key=key,
        name=name,
        marks=marks,
        line=line,
        chosen=_mark(chosen, key, x, y, None),
        x_ticks=[(x(v), v) for v in _ticks([p.arena_bytes for p in (*points, chosen)])],
        y_ticks=[(y(v), v) for v in _ticks([getattr(p, key) for p in (*points, chosen)])],
    )


class _Scale:
    """A logarithmic scale."""

    def __init__(self, values: list[int], start: float, end: float) -> None:
        low, high = log10(max(1, min(values))), log10(max(1, max(values)))
        room = max(0.06, (high - low) * 0.08)
        self._low, self._span = low - room, high - low + 2 * room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        part = (log10(max(1, value)) - self._low) / self._span
        return round(self._start + part * (self._end - self._start), 1)


def _ticks(values: list[int]) -> list[int]:
    """The least and the largest value."""
    return sorted({min(values), max(values)})


def _mark(point: PointSection, key: str, x: _Scale, y: _Scale, index: int | None) -> Mark:
    return Mark(
        x=x(point.arena_bytes),
        y=y(getattr(point, key)),
        index=index,
        bytes=point.arena_bytes,
        title=f"{point.arena_bytes:,} bytes, {point.macs:,} MACs, {point.instructions_estimate:,} "
        f"instructions (estimate): {point.schedule}",
    )
