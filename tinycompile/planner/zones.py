"""Sets of placements as difference bounds, many at a time.

A zone is the set of all x with x[i] - x[j] <= m[i][j]: closed (every bound is the tightest that follows) and not
empty. Variable 0 is the bottom of the arena, variable 1 its top, the others are the offsets of live buffers. "a lies
above b or b above a" splits a zone in two, so a set of placements is a list of zones. Zones with equal variables are
kept in one array, and NumPy works on all of them at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array

BOTTOM, TOP = 0, 1


@dataclass(frozen=True, eq=False)
class Zones:
    """Attributes:
    names: of the buffers whose offsets are variables 2, 3, ...
    bounds: (zones, variables, variables), int64.
    origin: for each zone the index of the one it was derived from.
    """

    names: tuple[str, ...]
    bounds: Array
    origin: Array

    @staticmethod
    def arena(lowest: int, highest: int) -> Zones:
        """No buffer yet; an arena of lowest to highest units."""
        bounds = np.array([[[0, -lowest], [highest, 0]]], np.int64)
        return Zones((), bounds, np.zeros(1, np.int64))

    def __len__(self) -> int:
        return len(self.bounds)

    def variable(self, name: str) -> int:
        return self.names.index(name) + 2

    def numbered(self) -> Zones:
        """The same zones as the origins of what is derived from them."""
        return Zones(self.names, self.bounds, np.arange(len(self)))

    def take(self, rows: Array) -> Zones:
        return Zones(self.names, self.bounds[rows], self.origin[rows])

    def at_most(self, p: int, q: int, bound: int) -> Zones:
        """The part of every zone where x[p] - x[q] <= bound."""
        zones = self.take(self.bounds[:, q, p] + bound >= 0)
        through = zones.bounds[:, :, p, None] + (bound + zones.bounds[:, q, None, :])
        return Zones(self.names, np.minimum(zones.bounds, through), zones.origin)

    def with_buffer(self, name: str, floor: int, reach: int) -> Zones:
        """One more variable x: floor <= x <= top - reach."""
        room = self.at_most(BOTTOM, TOP, -(floor + reach))
        count, width, _ = room.bounds.shape
        bounds = np.zeros((count, width + 1, width + 1), np.int64)
        bounds[:, :width, :width] = room.bounds
        bounds[:, width, :width] = room.bounds[:, TOP, :] - reach
        bounds[:, :width, width] = room.bounds[:, :, BOTTOM] - floor
        return Zones((*self.names, name), bounds, room.origin)

    def apart(self, a: int, b: int, a_above: int, b_above: int) -> Zones:
        """Split where needed: x[a] - x[b] >= a_above, or x[b] - x[a] >= b_above."""
        if a_above + b_above <= 1:
            return self
        done = (self.bounds[:, b, a] <= -a_above) | (self.bounds[:, a, b] <= -b_above)
        if done.all():
            return self
        open_ = self.take(~done)
        pieces = (self.take(done), open_.at_most(b, a, -a_above), open_.at_most(a, b, -b_above))
        bounds = np.concatenate([piece.bounds for piece in pieces])
        return Zones(self.names, bounds, np.concatenate([piece.origin for piece in pieces]))

    def without(self, dead: set[str]) -> Zones:
        """Forget variables: exact, because the bounds are closed."""
        kept = [BOTTOM, TOP, *(i for i, name in enumerate(self.names, 2) if name not in dead)]
        names = tuple(name for name in self.names if name not in dead)
        return Zones(names, self.bounds[:, kept][:, :, kept], self.origin)


def undominated(bounds: Array, costs: Array, limit: int) -> Array:
    """Rows of the zones that lie in no other zone of the same or lower cost; at most `limit`, the cheapest and widest.

    Deterministic: among equal zones the first stays.
    """
    flat = bounds.reshape(len(bounds), -1)
    order = np.lexsort((-flat.sum(axis=1), costs))
    flat = flat[order]
    kept = np.empty_like(flat)
    rows, count = list[int](), 0
    for row, zone in zip(order.tolist(), flat, strict=True):
        if count and (kept[:count] >= zone).all(axis=1).any():
            continue
        if count == limit:
            break
        kept[count] = zone
        rows.append(row)
        count += 1
    return np.array(rows, np.int64)
