"""Plans for two cores: of those that divide layers and those that compute branches at the same time, the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from tinycompile.errors import DoesNotFitError
from tinycompile.layout import Layout
from tinycompile.options import Options
from tinycompile.planner import Planned
from tinycompile.plans import Plans
from tinycompile.targets import Board

SPARE_FOR_CORES = 1.15
"""Times the RAM of one core that two may take without being asked for less."""

WORTH_MORE_RAM = 1.1
"""Times the instructions with which more RAM isn't worth it."""


LESS_ROOM = (None, 1.0, 0.8, 0.6)
"""Times the RAM there is that a fork may need by its bound, from none to ever tighter ones: placement may need more."""

WORTH_A_FORK = 0.995
"""Times the instructions without branches, of which more aren't worth another plan."""

Placed = tuple[list[Planned], Layout]
Place = Callable[[Sequence[Plans], Board, Options], Placed]
"""See `lowering.place`."""


def on_two_cores(place: Place, plans: Sequence[Plans], board: Board, options: Options) -> Placed:
    """Halves of layers can seldom take an operand's place: within little more RAM than one core needs, if that costs
    little; but for time alone where the second core is another one, which saves little. Branches are computed at the
    same time where that is faster.
    """
    free = place(plans, board, options)
    if options.optimize == "ram":
        return free
    found = [free, *_with_branches(place, plans, free, board, options)]
    if options.ram is None and not (board.second is not None and options.optimize == "speed"):
        with suppress(DoesNotFitError):
            single, _ = place([each.on_one_core for each in plans], board, options)
            within = replace(options, ram=int(SPARE_FOR_CORES * max(each.arena_bytes for each in single)))
            lean = place(plans, board, within)
            cheapest = min([lean, *_with_branches(place, plans, lean, board, within)], key=_price_of)
            if _price_of(cheapest) <= WORTH_MORE_RAM * min(map(_price_of, found)):
                return cheapest
    return min(found, key=_price_of)


def _with_branches(
    place: Place, plans: Sequence[Plans], placed: Placed, board: Board, options: Options
) -> list[Placed]:
    """What computes branches at the same time, if that takes fewer instructions than what was placed."""
    found, tried = list[Placed](), set[tuple[object, ...]]()
    for share in LESS_ROOM if options.ram is not None else LESS_ROOM[:1]:
        limit = None if share is None or options.ram is None else int(share * options.ram)
        branched = [each.with_branches(planned, limit) for each, planned in zip(plans, placed[0], strict=True)]
        forks = tuple(other and other.forks for other in branched)
        if any(branched) and forks not in tried:
            tried.add(forks)
            with suppress(DoesNotFitError):
                found.append(place([b or each for each, b in zip(plans, branched, strict=True)], board, options))
    return [each for each in found if _price_of(each) < WORTH_A_FORK * _price_of(placed)]


def _price_of(placed: Placed) -> int:
    return sum(each.price for each in placed[0])
