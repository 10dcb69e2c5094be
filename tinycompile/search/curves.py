"""A picture of curves and marks over two axes, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log10

from markupsafe import Markup

from tinycompile.report.pictures import draw

WIDTH, HEIGHT = 760, 360
LEFT, TOP, BOTTOM = 70, 28, 40
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#666666")
"""Told apart by those who see few colours (Okabe and Ito), then again."""
_TICKS = 5
SPARE = 0.04
"""Of an axis, on both sides of its marks, which are whole then."""


@dataclass(frozen=True)
class Curve:
    """Points from left to right; `name` is beside the picture."""

    points: Sequence[tuple[float, float]]
    name: str = ""


@dataclass(frozen=True)
class Mark:
    """A point of its own, with what a pointer on it is told."""

    x: float
    y: float
    title: str
    strong: bool = False


def picture(curves: Sequence[Curve], marks: Sequence[Mark], x_name: str, y_name: str) -> Markup:
    """Curves have a colour each; strong marks are large."""
    everything = [*(point for curve in curves for point in curve.points), *((m.x, m.y) for m in marks)] or [(0.0, 0.0)]
    right = WIDTH - (250 if any(curve.name for curve in curves) else 24)
    spare = SPARE if marks else 0.0
    x = _scale([p[0] for p in everything], LEFT, right, spare)
    y = _scale([p[1] for p in everything], HEIGHT - BOTTOM, TOP, spare)
    return draw(
        "curves.svg.j2",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=right,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        x_name=x_name,
        y_name=y_name,
        x_ticks=[(x(value), _text(value)) for value in _ticks([p[0] for p in everything])],
        y_ticks=[(y(value), _text(value)) for value in _ticks([p[1] for p in everything])],
        curves=[
            {
                "points": " ".join(f"{x(a)},{y(b)}" for a, b in curve.points),
                "name": curve.name,
                "colour": COLOURS[index % len(COLOURS)],
            }
            for index, curve in enumerate(curves)
        ],
        marks=[
            {
                "x": x(mark.x),
                "y": y(mark.y),
                "title": mark.title,
                "radius": 6 if mark.strong else 3,
                "colour": COLOURS[1] if mark.strong else COLOURS[0],
            }
            for mark in marks
        ],
    )


def _scale(values: Sequence[float], start: float, end: float, spare: float) -> Callable[[float], float]:
    span = (max(values) - min(values)) or 1.0
    low, span = min(values) - spare * span, (1 + 2 * spare) * span
    return lambda value: round(start + (value - low) / span * (end - start), 1)


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers between the least and the most."""
    low, high = min(values), max(values)
    if high == low:
        return [low]
    raw = (high - low) / _TICKS
    unit = 10 ** floor(log10(raw))
    step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= raw)
    first = -(-low // step)
    return [step * (first + i) for i in range(2 * _TICKS) if step * (first + i) <= high]


def _text(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 10 else f"{value:.3g}"
