"""The plans of a model: layer by layer, or in stages, within any limit."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from tinycompile.control_flow import WithControlFlow
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Graph, Site
from tinycompile.kernels import Covers, Offer, kernels_for, kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.layout import AGAIN, CODE_BYTES, LAYER, OWN_CODE_BYTES
from tinycompile.numerics.latitude import Latitude
from tinycompile.options import Options
from tinycompile.passes.split_averages import split_averages
from tinycompile.planner import Flash, LayerPlanner, Planned, StagePlanner, states_of
from tinycompile.planner.stages import WAYS
from tinycompile.targets import Board

SPARE = (1.1, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Times the least RAM that may be taken where no limit is given: the first at which time doesn't suffer."""

SUFFERS = 1.3
"""Times the instructions of layer by layer execution."""


class Plans:
    """The plans of a model; kernels are looked for once.

    Args:
        offer: the kernels of each node.
        share: of the room in flash, where several models are in it.
    """

    def __init__(
        self, graph: Graph, board: Board, options: Options, offer: Offer = kernels_of, share: float = 1.0
    ) -> None:
        self._offer: Offer = WithControlFlow(offer, options.optimize)
        self._graph, self._core, self._optimize, self._schedule = graph, board.core, options.optimize, options.schedule
        self._flash = flash_for(board, options, share)
        self._latitude = Latitude() if options.weights == "separate" else None
        self._lean = options.schedule in ("stream", "patch") and options.ram is None
        """Stages were asked for without a limit, so that they are meant to save RAM."""

    @property
    def state_bytes(self) -> int:
        """Of the model's states, beside the arena."""
        return states_of(self._graph)[1]

    def within(self, schedule: str, ram_limit: int, scratch_limit: int | None) -> Planned:
        return self.layers(ram_limit, scratch_limit) if schedule == LAYER else self.stages(ram_limit, schedule == AGAIN)

    def bound(self, schedule: str, scratch_limit: int | None) -> int:
        """Bytes of RAM that no plan needs less than; 0 where that takes as long to know as a plan."""
        return self._layers.bound(scratch_limit) if schedule == LAYER else 0

    def layers(self, ram_limit: int | None, scratch_limit: int | None) -> Planned:
        """Layer by layer; without a limit with the least RAM."""
        optimize = "ram" if ram_limit is None else self._optimize
        return self._layers.plan(ram_limit=ram_limit, optimize=optimize, scratch_limit=scratch_limit)

    def stages(self, ram_limit: int | None, again: bool = True) -> Planned:
        """By rows or patches where that helps; without a limit with the least RAM.

        Args:
            again: whether something may be computed twice.
        """
        if self._lean and self._optimize != "ram" and ram_limit is not None:
            return self._lean_plan(ram_limit, again)
        return self._stages.plan(ram_limit=ram_limit, optimize=self._optimize, again=again)

    def _lean_plan(self, ram_limit: int, again: bool) -> Planned:
        """Little RAM, but not at any price. Raises DoesNotFitError."""
        least = self._stages.plan(ram_limit=None, optimize="ram", again=again).arena_bytes
        if least > ram_limit:
            return self._stages.plan(ram_limit=ram_limit, optimize=self._optimize, again=again)
        limits = list(dict.fromkeys(max(least, min(ram_limit, int(spare * least))) for spare in SPARE))
        if not again:
            return self._stages.plan(ram_limit=limits[0], optimize=self._optimize, again=False)
        fast = self._layers.plan(ram_limit=None, optimize=self._optimize)
        for limit in limits[:-1]:
            found = self._stages.plan(ram_limit=limit, optimize=self._optimize)
            if found.instructions <= SUFFERS * fast.instructions:
                return found
        return self._stages.plan(ram_limit=limits[-1], optimize=self._optimize)

    @cached_property
    def _kernels(self) -> list[list[Kernel]]:
        return kernels_for(self._graph, self._core, self._latitude, self._offer)

    @property
    def _covers(self) -> Covers:
        return Covers(self._core, self._latitude, self._offer)

    @cached_property
    def _layers(self) -> LayerPlanner:
        covers = self._covers
        return LayerPlanner(self._graph, self._kernels, covers, self._flash, covers.groups)

    @cached_property
    def _stages(self) -> StagePlanner:
        graph = split_averages(self._graph)
        known = dict(zip(self._graph.nodes, self._kernels, strict=True))
        try:
            kernels = kernels_for(graph, self._core, self._latitude, self._offer, known)
        except UnsupportedError:  # a split average without a kernel: they stay whole
            graph, kernels = self._graph, self._kernels
        schedule = self._schedule if self._schedule in WAYS else "auto"
        covers = self._covers
        return StagePlanner(graph, kernels, self._kernels_of, schedule, covers, self._flash, covers.groups)

    def _kernels_of(self, site: Site) -> list[Kernel]:
        return self._offer(replace(site, latitude=self._latitude), self._core)


def flash_for(board: Board, options: Options, share: float = 1.0) -> Flash:
    """The flash for the constants and the code of a model's layers.

    Without `--flash` nothing limits what goes to external flash, or is in a file of its own; where neither is, it has
    to fit beside the firmware's own code.

    Args:
        share: of it, where several models are in it.
    """
    if options.flash is not None:
        room = options.flash - OWN_CODE_BYTES - options.flash_spare
        return Flash(options.flash, int(share * max(0, room)))
    if board.external_flash is not None or options.weights == "separate":
        return Flash(board.flash.bytes)
    return Flash(board.flash.bytes, int(share * max(0, board.flash.bytes - CODE_BYTES)))
