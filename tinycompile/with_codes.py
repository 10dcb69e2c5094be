"""An offer of kernels with those that decode their constants: less flash for more instructions and RAM."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Site
from tinycompile.kernels import Offer, coded_kernels_of
from tinycompile.kernels.base import Coding, Kernel
from tinycompile.targets import Core

LEAST_SAVED = 256
"""Bytes of a layer that are worth decoding all of them: its functions become its own, which others may share."""


SHARE = 0.03
"""Of a layer's time, which half of its scratch is worth."""


class WithCodes:
    """See the module.

    Args:
        offer: the kernels of each node.
        wanted: kernels whose constants could be coded cost what that would save, so that they are taken only where RAM
            is short; else it's for the planner to see what flash is worth.
    """

    def __init__(self, offer: Offer, *, wanted: bool) -> None:
        self._offer, self._wanted = offer, wanted

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Raises UnsupportedError."""
        kernels = self._offer(site, core)
        fastest = min(kernels, key=lambda kernel: kernel.price, default=None)
        if fastest is None:
            return kernels
        most = _flash_bytes(fastest) - LEAST_SAVED
        coded = [
            kernel
            for kernel in coded_kernels_of(site, core, kernels)
            if _flash_bytes(kernel) <= most and kernel.coding is not None and _saved(kernel.coding) >= LEAST_SAVED
        ]
        coded = [kernel for kernel in coded if not any(_is_leaner(other, kernel) for other in coded)]
        saved = max((_saved(kernel.coding) for kernel in coded if kernel.coding is not None), default=0)
        if self._wanted and saved:
            kernels = [replace(kernel, codable=saved) for kernel in kernels]
        return [*kernels, *coded]


def _is_leaner(other: Kernel, kernel: Kernel) -> bool:
    """Whether it takes much less scratch than a kernel, and hardly more of anything else."""
    return (
        2 * other.scratch_bytes < kernel.scratch_bytes
        and other.price <= (1 + SHARE) * kernel.price
        and _flash_bytes(other) <= _flash_bytes(kernel) + LEAST_SAVED
    )


def _flash_bytes(kernel: Kernel) -> int:
    return kernel.constant_bytes + kernel.code_bytes


def _saved(coding: Coding) -> int:
    return coding.plain_bytes - coding.coded_bytes
