"""An offer of kernels whose constants a wider network has: no flash for these, in exchange for instructions and RAM."""

from __future__ import annotations

from tinycompile.ir import Site
from tinycompile.kernels import Offer
from tinycompile.kernels.array_pieces import Lender
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.lane_shared import shared_tiles
from tinycompile.kernels.shared import LOOP_BYTES, shared_kernel
from tinycompile.targets import Core

BYTES = 50
"""Of a kernel's own constants that cost what one costs where codes are wanted (`planner.flash.CODABLE`), which makes 20
instructions a byte: four times what it takes to put one together, so that kernels share, and less than what a faster
kernel's few bytes more for each channel save."""

FAST_BYTES = 200
"""The same where speed is asked for, 5 instructions a byte: what takes as many to put together is shared, groups that
are made anew aren't, unless flash is short."""

CALL_BYTES = 100
"""Of code that calls a function which the wider network has."""

PART = 0.5
"""Of a block function that the wider network hasn't, for each layer that calls it."""


class WithShared:
    """See the module. What could be shared and isn't costs what that would save, so that it isn't where RAM is short.

    Args:
        offer: the kernels of each node.
        lender: the constants of the wider network.
        lean: code counts as constants do: each width has functions for its own shapes.
        thrifty: whether constants are worth 20 instructions a byte; else 5.
    """

    def __init__(self, offer: Offer, lender: Lender, *, lean: bool = True, thrifty: bool = True) -> None:
        self._offer, self._lender, self._lean, self._thrifty = offer, lender, lean, thrifty

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Raises UnsupportedError."""
        kernels = self._offer(site, core)
        shared = filter(None, (shared_kernel(kernel, self._lender) for kernel in kernels))
        every = [*kernels, *shared, *shared_tiles(site, core, self._lender)]
        if len(every) == len(kernels) and not self._lean:
            return kernels
        least = min(map(self._bytes, every), default=0)
        bytes_ = BYTES if self._thrifty else FAST_BYTES
        return [kernel.but(codable=(self._bytes(kernel) - least) // bytes_) for kernel in every]

    def _bytes(self, kernel: Kernel) -> int:
        return kernel.constant_bytes + (self._code_bytes(kernel) if self._lean else 0)

    def _code_bytes(self, kernel: Kernel) -> int:
        """What the wider network hasn't: a block function that others call as well costs a part of it."""
        if kernel.function is None or kernel.function in self._lender.functions:
            return 0
        size = kernel.code_size
        there = {*self._lender.blocks, *LOOP_BYTES}  # the loops that put constants together are there for some layer
        blocks = sum(each for name, each in size.shared.items() if name not in there)
        known = any(each in self._lender.functions for each in kernel.function.all_called)
        own = CALL_BYTES if known else (size.own if kernel.code else kernel.code_bytes)
        return own + round(PART * blocks)
