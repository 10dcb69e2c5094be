"""An offer of kernels for two cores whose arena is in a memory that both see and one waits for: priced with that.

Where one core computes, an arena is in the memory that costs least, and how a kernel walks through it seldom decides.
"""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels import Offer
from tinycompile.kernels.base import Kernel
from tinycompile.memory_time import tensors_waiting
from tinycompile.targets import Board, Core
from tinycompile.targets.memory import ram_choices


class WithArena:
    """See the module.

    Args:
        board: as the core sees it whose waiting it is; the arena is where both together wait least.
        both: as both see it.
    """

    def __init__(self, offer: Offer, board: Board, both: Board) -> None:
        cheapest = ram_choices(both.memories)[0].name
        self._offer, self._system = offer, board.memory_system
        self._arena = next(memory for memory in board.memories if memory.name == cheapest)

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        return [self._priced(kernel, site) for kernel in self._offer(site, core)]

    def _priced(self, kernel: Kernel, site: Site) -> Kernel:
        if kernel.function is None:
            return kernel
        waits = round(tensors_waiting(kernel, site, self._arena, self._system).middle)
        return kernel.but(stalls=kernel.stalls + waits) if waits else kernel
