"""`make bench-cost`: how many architectures a second `tinycompile.cost` prices, and how far typical weights are off.

Each of MLPerf Tiny's networks with random widths and weights, in one process, in seconds of the CPU; no layer is known
at the start. What `exact=False` says is compared with `exact=True` of the same channels: a build has fewer where some
turn out to be constant.
"""

from __future__ import annotations

import sys
import time
from dataclasses import replace

import numpy as np

from tests.support.architectures import ARCHITECTURES
from tinycompile.costing import Cost, cost_of
from tinycompile.ir import Graph
from tinycompile.options import Options
from tinycompile.targets import Board

TARGETS = ("stm32f746", "mps2-an385", "mps3-an547")
COUNT = 200
COMPARED = 25


def main(count: int) -> None:
    """Prints a line per network and target."""
    print(
        f"{'target':12} {'network':21} {'typical/s':>10} {'exact/s':>8} {'RAM':>7} {'weights':>8} {'instructions':>13}"
    )
    for target in TARGETS:
        options = Options(target)
        board = options.board()
        for name, architecture in ARCHITECTURES.items():
            rng = np.random.default_rng(1)
            graphs = [architecture(rng) for _ in range(count)]
            cost_of(architecture(rng), board, options)  # imports
            fast, typical = _priced(graphs, board, options, exact=False)
            slow, exact = _priced(graphs[:COMPARED], board, replace(options, updatable=True), exact=True)
            pairs = list(zip(typical[:COMPARED], exact, strict=True))
            off = [
                max(abs(getattr(a, what) / getattr(b, what) - 1) for a, b in pairs)
                for what in ("arena_bytes", "weights_bytes", "instructions")
            ]
            print(f"{target:12} {name:21} {fast:10.0f} {slow:8.0f} {off[0]:7.2%} {off[1]:8.2%} {off[2]:13.2%}")


def _priced(graphs: list[Graph], board: Board, options: Options, *, exact: bool) -> tuple[float, list[Cost]]:
    """(architectures a second, what each costs)."""
    begun = time.process_time()
    found = [cost_of(graph, board, options, exact=exact) for graph in graphs]
    return len(graphs) / (time.process_time() - begun), found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
