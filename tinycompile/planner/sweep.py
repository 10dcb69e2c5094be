"""Exact placement, and choice among the ways to execute each step, in one pass over time.

All placements of the buffers that are live between two steps are a set of zones (`zones.py`), each with the cost of the
options chosen so far. A step adds its new buffers to every zone in every order, once per option, then forgets the
buffers that die; a zone inside another of the same or lower cost is dropped. What is left after the last step is the
exact trade between cost and arena. Time grows with the number of steps and with the number of zones between them,
which few live buffers keep small; `exact` tells whether it ever had to be cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array
from tinycompile.planner.problem import Option, Problem
from tinycompile.planner.relations import Moment, Relations, moments
from tinycompile.planner.zones import BOTTOM, TOP, Zones, undominated

ZONE_LIMIT = 600
"""Zones kept between two steps."""

_NOTHING = (Option(),)


@dataclass(frozen=True)
class Placement:
    """One point of the trade: total cost, arena in units, the option of each step, and offsets in units."""

    cost: int
    height: int
    choice: Mapping[int, int]
    offsets: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class _Layer:
    """The zones after a step, before its dead are forgotten.

    Attributes:
        expanded: per option, because options have buffers of their own.
        option, row: for each zone kept, its option and its index in `expanded[option]`.
    """

    step: int
    expanded: tuple[Zones, ...]
    option: Array
    row: Array


class Sweep:
    """The result of `sweep`; empty where nothing fits.

    Attributes:
        front: (cost, height) of the undominated results.
        exact: nothing was cut, so the front is complete.
        stuck_at: the step at which no placement was left; None if there is a result.
    """

    def __init__(self, layers: list[_Layer], zones: Zones, costs: Array, exact: bool, stuck_at: int | None) -> None:
        self._layers = layers
        self._lowest_top = -zones.bounds[:, BOTTOM, TOP]
        self._costs = costs
        self.exact, self.stuck_at = exact, stuck_at
        self.front = list(zip(costs.tolist(), self._lowest_top.tolist(), strict=True))

    def cheapest(self) -> Placement | None:
        """Lowest cost, among these the smallest arena."""
        return self._placement(min(range(len(self.front)), key=lambda i: self.front[i], default=None))

    def smallest(self) -> Placement | None:
        """Smallest arena, among these the lowest cost."""
        return self._placement(min(range(len(self.front)), key=lambda i: self.front[i][::-1], default=None))

    def _placement(self, index: int | None) -> Placement | None:
        """Walk back through the layers and fix every offset at its lowest."""
        if index is None:
            return None
        cost, height = self.front[index]
        offsets, choice = dict[str, int](), dict[int, int]()
        for layer in reversed(self._layers):
            option, row = int(layer.option[index]), int(layer.row[index])
            zones = layer.expanded[option]
            _fix(zones.names, zones.bounds[row], height, offsets)
            choice[layer.step] = option
            index = int(zones.origin[row])
        return Placement(cost, height, choice, offsets)


def _fix(names: tuple[str, ...], bounds: Array, height: int, offsets: dict[str, int]) -> None:
    """Give the variables of a zone that have no value yet their lowest one; the others are known to allow it."""
    values = [0, height, *(offsets.get(name) for name in names)]
    for variable, name in enumerate(names, 2):
        if values[variable] is None:
            known = [(i, value) for i, value in enumerate(values) if value is not None]
            values[variable] = max(value - int(bounds[i, variable]) for i, value in known)
            offsets[name] = max(value - int(bounds[i, variable]) for i, value in known)


def sweep(problem: Problem, relations: Relations, lowest: int, highest: int, limit: int = ZONE_LIMIT) -> Sweep:
    """All undominated (cost, arena) with an arena of lowest to highest units."""
    zones, costs = Zones.arena(lowest, highest), np.zeros(1, np.int64)
    base = relations.distances(problem.overlaps)
    layers, exact, ending = list[_Layer](), True, _deaths(problem)
    for moment in _all_moments(problem):
        options = problem.options.get(moment.step, _NOTHING)
        start = zones.without(ending.dead_before(moment.step)).numbered()
        expanded = tuple(_expand(start, moment, option, relations, base) for option in options)
        dead = ending.dead_after(moment.step)
        projected = [e.without(dead | {b.name for b in o.buffers}) for e, o in zip(expanded, options, strict=True)]
        all_costs = np.concatenate([costs[e.origin] + o.cost for e, o in zip(expanded, options, strict=True)])
        bounds = np.concatenate([p.bounds for p in projected])
        rows = undominated(bounds, all_costs, limit + 1)
        if not len(rows):
            empty = Zones((), np.zeros((0, 2, 2), np.int64), rows)
            return Sweep([], empty, all_costs[rows], exact, moment.step)
        exact, rows = exact and len(rows) <= limit, rows[:limit]
        option, row = _positions([len(e) for e in expanded])
        layers.append(_Layer(moment.step, expanded, option[rows], row[rows]))
        zones, costs = Zones(projected[0].names, bounds[rows], rows), all_costs[rows]
    return Sweep(layers, zones, costs, exact, None)


def _positions(lengths: Iterable[int]) -> tuple[Array, Array]:
    """(list, index in it) of every element of concatenated lists."""
    pairs = [(number, index) for number, length in enumerate(lengths) for index in range(length)]
    option, row = zip(*pairs, strict=True)
    return np.array(option), np.array(row)


def _all_moments(problem: Problem) -> list[Moment]:
    """The steps at which buffers are born, and those that merely have options."""
    found = {moment.step: moment for moment in moments(problem.buffers)}
    for step in problem.options:
        found.setdefault(step, Moment(step, (), ()))
    return [found[step] for step in sorted(found)]
