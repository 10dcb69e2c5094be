"""An offer of kernels with those that decode their constants: less flash for more instructions and RAM."""

from __future__ import annotations

from dataclasses import replace

from tinycompile.ir import Site
from tinycompile.kernels import Offer, coded_kernels_of
from tinycompile.kernels.base import Coding, Kernel
from tinycompile.targets import Core

LEAST_SAVED = 256
"""Bytes of a layer that are worth decoding all of them: its functions become its own, which others may share."""


SAME_TIME = 0.1
"""Of a layer's time, which is no reason to code its constants."""

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
        coded = [kernel for kernel in coded_kernels_of(site, core, kernels) if _is_coded(kernel, most)]
        coded = [kernel for kernel in coded if not any(_is_leaner(other, kernel) for other in coded)]
        instead = [plain for plain in kernels if any(_is_as_good(plain, kernel) for kernel in coded)]
        least = min(map(_flash_bytes, instead), default=most + 1)
        coded = [kernel for kernel in coded if _flash_bytes(kernel) < least]
        if self._wanted and (coded or instead):
            kernels = _charged(kernels, coded, instead)
        return [*kernels, *coded]


def _charged(kernels: list[Kernel], coded: list[Kernel], instead: list[Kernel]) -> list[Kernel]:
    """Kernels without codes cost what these save; or, where others do instead, what these save over them."""
    if not coded:
        least = min(map(_flash_bytes, instead))
        return [replace(kernel, codable=max(0, _flash_bytes(kernel) - least)) for kernel in kernels]
    saved = max(_saved(kernel.coding) for kernel in coded if kernel.coding is not None)
    return [replace(kernel, codable=saved) for kernel in kernels]


def _is_coded(kernel: Kernel, most: int) -> bool:
    return _flash_bytes(kernel) <= most and kernel.coding is not None and _saved(kernel.coding) >= LEAST_SAVED


def _is_as_good(plain: Kernel, coded: Kernel) -> bool:
    """Whether a kernel without codes is as small and about as fast as one whose functions take more than codes save."""
    more = coded.code_bytes - plain.code_bytes
    return (
        coded.coding is not None
        and more > _saved(coded.coding)
        and _flash_bytes(plain) < _flash_bytes(coded)
        and plain.price <= (1 + SAME_TIME) * coded.price
    )


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
