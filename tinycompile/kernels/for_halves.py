"""Kernels that are there for two cores, which compute a layer at the same time: those of some channels, those whose
result may be exactly in the place of an operand, and those that both cores compute together. One core alone has better
ones.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from math import prod

from tinycompile.dtypes import INT8
from tinycompile.ir import Op, Site
from tinycompile.kernels.base import Factory, Half, Kernel
from tinycompile.kernels.cover import Fused, Pattern
from tinycompile.targets.core import Core

OfChannels = Callable[[Site, Core, range], Half | None]
_OF_CHANNELS: dict[type[Op], list[tuple[frozenset[str], frozenset[str], OfChannels]]] = {}
_TOGETHER: dict[type[Op], list[Factory]] = {}
Halves = Callable[[Site, Core], tuple[Half, Half] | None]
_HALVES: list[tuple[tuple[Pattern, ...], frozenset[str], Halves]] = []
_COVERS: list[tuple[tuple[Pattern, ...], frozenset[str], Factory]] = []


def channels_for(
    op: type[Op], needs: Collection[str] = (), unless: Collection[str] = ()
) -> Callable[[OfChannels], OfChannels]:
    """Decorator: kernels of an operator in int8 that compute some channels and touch no others' bytes.

    Args:
        needs, unless: features of the core, as in `kernel_for`.
    """

    def register(of_channels: OfChannels) -> OfChannels:
        _OF_CHANNELS.setdefault(op, []).append((frozenset(needs), frozenset(unless), of_channels))
        return of_channels

    return register


def of_channels(kernel: Kernel, site: Site, channels: range) -> Half:
    """A kernel that computes so many channels, for these; its constants are the whole layer's, channel by channel."""
    each = [prod(constant.layout[0]) // site.sig.output.shape[-1] for constant in kernel.constants]
    return Half(kernel, {}, (0, site.sig.output.bytes), channels, tuple(channels.start * n for n in each))


def channel_halves(site: Site, core: Core, share: float | None = None) -> Iterator[tuple[Half, Half]]:
    """All pairs of kernels of `channels_for`, each for half of the channels, or of their groups of 4, or the first one
    for its share.
    """
    channels = site.sig.output.shape[-1] if site.sig.output.shape else 0
    if channels < 2 or not site.sig.inputs or site.sig.input.dtype != INT8:
        return
    half = {channels // 2, channels // 8 * 4} - {0}
    middles = half if share is None else {min(channels - 1, max(1, round(share * channels / 4) * 4))}
    for needs, unless, factory in _OF_CHANNELS.get(type(site.node.op), ()):
        if core.features.issuperset(needs) and core.features.isdisjoint(unless):
            for middle in sorted(middles):
                first = factory(site, core, range(middle))
                second = factory(site, core, range(middle, channels))
                if first is not None and second is not None:
                    yield first, second


def together_for(op: type[Op]) -> Callable[[Factory], Factory]:
    """Decorator: kernels of an operator in int8 that two cores compute together (`Kernel.together`).

    Each has the variant and the constants of a kernel for one core.
    """

    def register(factory: Factory) -> Factory:
        _TOGETHER.setdefault(op, []).append(factory)
        return factory

    return register


def together(site: Site, core: Core) -> Iterator[Kernel]:
    """All kernels of `together_for`."""
    if site.sig.inputs and site.sig.input.dtype == INT8:
        for factory in _TOGETHER.get(type(site.node.op), ()):
            kernel = factory(site, core)
            if kernel is not None:
                yield kernel


def halves_for(*patterns: Pattern, needs: Collection[str] = ()) -> Callable[[Halves], Halves]:
    """Decorator: both halves of nodes fused by these patterns, by kernels as one core has them for fewer matrices.

    Args:
        needs: features of the core, as in `kernel_for`.
    """

    def register(halves: Halves) -> Halves:
        _HALVES.append((patterns, frozenset(needs), halves))
        return halves

    return register


def halves_of(site: Site, core: Core) -> Iterator[tuple[Half, Half]]:
    """All pairs of `halves_for`."""
    if isinstance(site.node.op, Fused):
        for patterns, needs, halves in _HALVES:
            if core.features.issuperset(needs) and any(pattern.fits(site.node.op.nodes) for pattern in patterns):
                pair = halves(site, core)
                if pair is not None:
                    yield pair


def cover_for_halves(*patterns: Pattern, unless: Collection[str] = ()) -> Callable[[Factory], Factory]:
    """Decorator: offer a factory for nodes fused by these patterns, as `cover_for` does, to halves of layers alone."""

    def register(factory: Factory) -> Factory:
        _COVERS.append((patterns, frozenset(unless), factory))
        return factory

    return register


def covers_for_halves(site: Site, core: Core) -> Iterator[Kernel]:
    """All kernels of `cover_for_halves`."""
    if isinstance(site.node.op, Fused):
        for patterns, unless, factory in _COVERS:
            if core.features.isdisjoint(unless) and any(pattern.fits(site.node.op.nodes) for pattern in patterns):
                kernel = factory(site, core)
                if kernel is not None:
                    yield kernel


def factories() -> Iterator[Factory | OfChannels]:
    """All that are registered here, but for `halves_for`, which has none of its own."""
    yield from (factory for _, _, factory in _COVERS)
    yield from (factory for found in _TOGETHER.values() for factory in found)
    yield from (of_channels for found in _OF_CHANNELS.values() for _, _, of_channels in found)
