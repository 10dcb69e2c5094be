"""Plans for a board whose second core is another one than the first: for both, or, where that is no faster, for one."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tinycompile.choices import AUTO
from tinycompile.core_times import total_times
from tinycompile.errors import DoesNotFitError, TinycompileWarning, UsageError
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.lowering import lower
from tinycompile.options import Options
from tinycompile.targets import Board


def lower_for_cores(sources: Sequence[Path], options: Options) -> tuple[Options, Board, list[Lowered], Layout]:
    """`lower` with as many cores as were asked for; of two that differ, only if both are faster than one.

    Warns:
        TinycompileWarning: one core is taken, with the times that say why.

    Raises:
        UsageError: also where start-up is to copy code or weights to RAM that only one of the cores has.
    """
    board = options.board()
    if options.cores == 1 or board.second is None:
        return options, board, *lower(sources, board, options)
    for name, limit in (("fast-code", options.fast_code), ("fast-weights", options.fast_weights)):
        if limit not in (AUTO, 0):
            raise UsageError(
                f"--cores 2 doesn't go with --{name} on {board.name}", why="both cores run code from flash"
            )
    both = replace(options, fast_code=0, fast_weights=0)
    lowered, layout = lower(sources, board, both)
    time = _time(lowered, layout, board)
    alone = replace(options, cores=1)
    one = alone.board()
    with suppress(DoesNotFitError):
        other, place = lower(sources, one, replace(alone, schedule="layer", pareto=False))
        limit = _time(other, place, one)
        if options.ram is None and options.optimize == "balanced":
            faster = replace(both, optimize="speed")
            more, there = lower(sources, board, faster)
            found = _time(more, there, board)
            if found < limit and (limit <= time or found <= WORTH_MORE_RAM * time):
                return faster, board, more, there
        if limit <= time:
            text = (
                f"--cores 2: both cores of {board.name} would take about {time:.2f} ms, the {one.core.name} takes "
                f"{limit:.2f} ms alone, with kernels and memories of its own: it computes alone (estimates)"
            )
            warnings.warn(text, TinycompileWarning, stacklevel=2)
            return alone, one, *lower(sources, one, alone)
    return both, board, lowered, layout


WORTH_MORE_RAM = 0.95
"""Times the time of a plan for both in little more RAM than one core needs, for which all RAM is taken."""


def _time(models: Sequence[Lowered], layout: Layout, board: Board) -> float:
    return total_times([each.planned for each in models], layout, board)
