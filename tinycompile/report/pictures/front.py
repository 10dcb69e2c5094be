"""Pareto fronts: bytes to the right, what they are traded for upwards, and the point that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

from markupsafe import Markup

from tinycompile.report.pictures import draw
from tinycompile.report.sections import PointSection

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 106, 24, 22, 46


@dataclass(frozen=True)
class Mark:
    """A point; `path` is where the report has its bytes."""

    x: float
    y: float
    path: str
    bytes: int
    title: str


@dataclass(frozen=True)
class _Place:
    """A point to be drawn: bytes, and the other axis' figure."""

    bytes: int
    height: float
    path: str
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
    places = [_place(point, key, f"pareto.{index}.arena_bytes") for index, point in enumerate(points)]
    return _picture(places, _place(chosen, key, "ram.arena_bytes"), "arena in bytes", name)


def low_bits_pictures(report: dict[str, Any]) -> list[Markup]:
    """`report["low_bits"]`: bytes of weights against what is lost, where anything is, and against instructions."""
    points, found = report["low_bits"]["front"], list[Markup]()
    for key, name in (
        ("predicted_sqnr_db", "predicted SQNR, dB"),
        ("instructions_estimate", "instructions (estimate)"),
    ):
        places = [
            _Place(point["weights_bytes"], point[key], f"low_bits.front.{index}.weights_bytes", _low_bits_title(point))
            for index, point in enumerate(points)
            if point[key] is not None
        ]
        chosen = [place for place in places if points[int(place.path.split(".")[2])]["chosen"]]
        if places:
            logarithmic = key == "instructions_estimate"
            picture = _picture(places, next(iter(chosen), None), "weights in bytes", name, logarithmic=logarithmic)
            found.append(picture)
    return found


def counted_bits(point: dict[str, Any]) -> str:
    """How many layers have how many bits at a point of `low_bits`, and how many channels are removed."""
    bits = list(point["bits"].values())
    counts = [f"{bits.count(number)} of {number} bits" for number in (4, 3, 2) if number in bits]
    gone = sum(each["of"] - each["kept"] for each in point["channels"].values())
    return ", ".join([*(counts or ["all of 8 bits"]), *([f"{gone} channels removed"] if gone else [])])


def _low_bits_title(point: dict[str, Any]) -> str:
    loss = point["predicted_sqnr_db"]
    parts = [f"{point['weights_bytes']:,} bytes, {point['instructions_estimate']:,} instructions (estimate)"]
    parts += [f"layers: {counted_bits(point)}", *([] if loss is None else [f"predicted SQNR {loss:.1f} dB"])]
    return ", ".join(parts)


def _picture(
    places: Sequence[_Place], chosen: _Place | None, x_name: str, y_name: str, *, logarithmic: bool = True
) -> Markup:
    """Args: logarithmic: whether the heights are drawn so; bytes always are."""
    every = [*places, *([] if chosen is None else [chosen])]
    widths, heights = [place.bytes for place in every], [place.height for place in every]
    x = _Scale(widths, LEFT, WIDTH - RIGHT)
    y = _Scale(heights, HEIGHT - BOTTOM, TOP, logarithmic=logarithmic)
    marks = [_mark(place, x, y) for place in places]
    return draw(
        "front.svg.j2",
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        right=WIDTH - RIGHT,
        top=TOP,
        bottom=HEIGHT - BOTTOM,
        x_name=x_name,
        name=y_name,
        marks=marks,
        line=" ".join(f"{mark.x},{mark.y}" for mark in marks),
        chosen=None if chosen is None else _mark(chosen, x, y),
        x_ticks=[(x(value), value) for value in _ticks(widths)],
        y_ticks=[(y(value), value if logarithmic else round(value, 1)) for value in _ticks(heights)],
    )


class _Scale:
    """A logarithmic scale, or a linear one."""

    def __init__(self, values: Sequence[float], start: float, end: float, *, logarithmic: bool = True) -> None:
        self._logarithmic = logarithmic
        low, high = self._position(min(values)), self._position(max(values))
        room = max(0.06 if logarithmic else 0.5, (high - low) * 0.08)
        self._low, self._span = low - room, high - low + 2 * room
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        part = (self._position(value) - self._low) / self._span
        return round(self._start + part * (self._end - self._start), 1)

    def _position(self, value: float) -> float:
        return log10(max(1, value)) if self._logarithmic else value


def _ticks(values: Sequence[float]) -> list[float]:
    """The least and the largest value."""
    return sorted({min(values), max(values)})


def _mark(place: _Place, x: _Scale, y: _Scale) -> Mark:
    return Mark(x(place.bytes), y(place.height), place.path, place.bytes, place.title)


def _place(point: PointSection, key: str, path: str) -> _Place:
    title = (
        f"{point.arena_bytes:,} bytes, {point.macs:,} MACs, {point.instructions_estimate:,} "
        f"instructions (estimate): {point.schedule}"
    )
    return _Place(point.arena_bytes, getattr(point, key), path, title)
