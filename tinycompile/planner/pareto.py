"""Which plans are worth having: among those, less RAM costs instructions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tinycompile.errors import DoesNotFitError
from tinycompile.planner import Planned

STEP = 0.9
"""Each limit is this part of the arena before it."""


@dataclass(frozen=True)
class Point:
    """A schedule: nothing with less RAM executes fewer instructions, as far as the search found."""

    arena_bytes: int
    instructions: int
    macs: int
    schedule: str


def front(layers: Callable[[int | None], Planned], stages: Callable[[int | None], Planned]) -> list[Point]:
    """Schedules by falling RAM: layer by layer as far as that goes, and in stages.

    Args:
        layers, stages: plan within so many bytes; None for the least. Raise DoesNotFitError.
    """
    found = [*_walk(layers), *_walk(stages)]
    best = list[Point]()
    for point in sorted(found, key=lambda p: (p.arena_bytes, p.instructions)):
        if not best or point.instructions < best[-1].instructions:
            best.append(point)
    return best[::-1]


def _walk(plan: Callable[[int | None], Planned]) -> Iterator[Point]:
    least = plan(None)
    limit = 1 << 40
    while limit > least.arena_bytes:
        try:
            planned = plan(limit)
        except DoesNotFitError:
            break
        yield _point(planned)
        limit = min(int(planned.arena_bytes * STEP), planned.arena_bytes - 8)
    yield _point(least)


def _point(planned: Planned) -> Point:
    how = ", ".join(stage.how for stage in planned.stages) or "layer by layer"
    return Point(planned.arena_bytes, planned.instructions, planned.macs, how)
