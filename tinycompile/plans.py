"""The plans of a model: layer by layer, or in stages, within any limit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from itertools import chain
from types import MappingProxyType

from tinycompile.control_flow import WithControlFlow
from tinycompile.errors import DoesNotFitError, UnsupportedError
from tinycompile.ir import Graph, Node, Site, State
from tinycompile.kernels import Covers, Offer, kernels_for, kernels_of
from tinycompile.kernels.array_pieces import Lender
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover
from tinycompile.layout import AGAIN, CODE_BYTES, LAYER, OWN_CODE_BYTES
from tinycompile.numerics.latitude import Latitude
from tinycompile.options import Options
from tinycompile.passes.split_averages import split_averages
from tinycompile.planner import Flash, LayerPlanner, Planned, StagePlanner, states_of
from tinycompile.planner.branches import branching
from tinycompile.planner.forks import Fork
from tinycompile.planner.halves import WithHalves
from tinycompile.planner.pace import Pace
from tinycompile.planner.problem import UNIT
from tinycompile.planner.stages import WAYS
from tinycompile.planner.steps import Limit, Steps, in_steps
from tinycompile.targets import Board, Core, seen_by_second
from tinycompile.training.recompute import recomputed, repeatable
from tinycompile.training.step import first_of_training
from tinycompile.with_arena import WithArena
from tinycompile.with_codes import WithCodes
from tinycompile.with_memories import CodePrice, WithMemories
from tinycompile.with_shared import WithShared

SPARE = (1.1, 1.4, 2.0, 2.8, 4.0, 5.6)
"""Times the least RAM that may be taken where no limit is given: the first at which time doesn't suffer."""

SUFFERS = 1.3
"""Times the instructions of layer by layer execution."""


WORTH_RAM = 1.0
"""Bytes of flash that a byte of RAM has to save, to put a narrower network's constants together in more RAM than the
widest takes."""

SPARE_PARTS = (1.0, 1.5, 2.0)
"""Times that RAM, within which plans of a narrower network are compared."""


class _KernelsOfSites:
    """The kernels of nodes and of parts of nodes, each looked for once.

    Planners that `Plans` has made hold this, and not the plans: all of them are gone as soon as nobody needs them.
    """

    def __init__(self, offer: Offer, core: Core, latitude: Latitude | None) -> None:
        self._offer, self._core, self._latitude = offer, core, latitude
        self._known: dict[Site, list[Kernel]] = {}

    def __call__(self, site: Site) -> list[Kernel]:
        if site not in self._known:
            self._known[site] = self._offer(replace(site, latitude=self._latitude), self._core)
        return self._known[site]

    def leaner(self, site: Site) -> list[Kernel]:
        """Without copies of constants in RAM."""
        return _leaner(self(site))


class Plans:
    """The plans of a model; kernels are looked for once.

    Args:
        offer: the kernels of each node.
        share: of the room in flash, where several models are in it.
        spare: RAM that another model takes anyhow: more only where that doesn't suffice.
        in_ram: constants will be in RAM that the core needn't wait for.
        code: what copies of functions cost; None for what they cost where there is room.
        forks: of the order of the graph, which it keeps. known: the kernels of nodes.
    """

    def __init__(
        self,
        graph: Graph,
        board: Board,
        options: Options,
        offer: Offer = kernels_of,
        share: float = 1.0,
        spare: int | None = None,
        *,
        in_ram: bool = False,
        code: CodePrice | None = None,
        forks: Sequence[Fork] = (),
        known: Mapping[Node, list[Kernel]] = MappingProxyType({}),
    ) -> None:
        self.code = CodePrice.of(board, options) if code is None else code
        self._arguments, self._in_ram, self._forks = (graph, board, options, offer, share, spare), in_ram, forks
        self._known = dict(known)
        if options.compress_weights:
            offer = WithCodes(offer, wanted=options.flash is None)
        waiting = WithMemories.of(offer, graph, board, self.code, in_ram=in_ram)
        self._offer: Offer = WithControlFlow(waiting, options.optimize)
        self._pace = Pace.of(board) if options.cores > 1 else None
        self._second: Offer = self._offer
        if self._pace is not None:
            there = WithMemories.of(offer, graph, seen_by_second(board), self.code, in_ram=in_ram)
            self._second = WithControlFlow(WithArena(there, seen_by_second(board), board), options.optimize)
            self._offer = WithControlFlow(WithArena(waiting, board, board), options.optimize)
        if options.cores > 1:
            self._offer = WithHalves(self._offer, self._second, self._pace)
        self._graph, self._core, self._optimize, self._schedule = graph, board.core, options.optimize, options.schedule
        flash = replace(flash_for(board, options, share), until=first_of_training(graph))
        self._flash = flash.beside(sum(map(_initial_bytes, graph.states)))
        self._spends_ram = options.optimize == "speed" or options.ram is not None
        """Time is worth all RAM that there is, or that was granted."""
        self._latitude = Latitude() if options.weights == "separate" else None
        self._of_sites = _KernelsOfSites(self._offer, board.core, self._latitude)
        self._lean = options.schedule in ("stream", "patch") and options.ram is None
        """Stages were asked for without a limit, so that they are meant to save RAM."""

    @property
    def state_bytes(self) -> int:
        """Of the model's states, beside the arena."""
        return states_of(self._graph, self._unit)[1]

    @cached_property
    def in_ram(self) -> Plans:
        """Those of the same model with its constants in RAM that the core needn't wait for."""
        return Plans(*self._arguments, in_ram=True, code=self.code, forks=self._forks)

    @property
    def forks(self) -> tuple[Fork, ...]:
        """Of the graph's order."""
        return tuple(self._forks)

    @property
    def on_one_core(self) -> Plans:
        """Those of the same model with kernels for one core."""
        graph, board, options, *_ = self._arguments
        given = graph, board, replace(options, cores=1), *self._arguments[3:]
        return Plans(*given, in_ram=self._in_ram, code=self.code)

    def priced(self, byte: float) -> Plans:
        """Those of the same model where a byte of RAM for code costs so many cycles."""
        return Plans(*self._arguments, code=replace(self.code, byte=byte), forks=self._forks)

    def with_branches(self, planned: Planned, ram_limit: int | None) -> Plans | None:
        """Those in which two cores compute different layers at the same time where that is faster; None where it isn't.

        Args:
            planned: one of these. ram_limit: bytes that a fork may need.
        """
        _, board, options, offer, share, spare = self._arguments

        def all_of(node: Node) -> list[Kernel]:
            if node not in self._known:
                self._known[node] = self._of_sites(planned.graph.site(node))
            return self._known[node]

        def single(node: Node, core: int = 0) -> Kernel | None:
            found = self._in_a_fork(node, all_of(node), core, planned.graph)
            return min(found, key=lambda kernel: kernel.price, default=None)

        self._known.update(zip(self._graph.nodes, self._kernels, strict=True))

        def second(node: Node) -> Kernel | None:
            return single(node, 1)

        found = branching(planned, single, ram_limit, None if self._pace is None else second)
        if found is None:
            return None
        graph = found.of(planned.graph)
        known = {node: all_of(node) for node in graph.nodes}
        given = graph, board, options, offer, share, spare
        return Plans(*given, in_ram=self._in_ram, code=self.code, forks=found.forks, known=known)

    def sharing(self, lender: Lender, spare: int, *, thrifty: bool = True) -> Plans:
        """Those of the same model with kernels that read a wider network's constants, in the RAM that it takes.

        Args:
            thrifty: more instructions are taken for a byte of flash.
        """
        graph, board, options, offer, share, _ = self._arguments
        offer = WithShared(offer, lender, lean=options.optimize != "speed", thrifty=thrifty)
        return Plans(graph, board, options, offer, share, spare, in_ram=self._in_ram, code=self.code)

    def with_room(self, room: int) -> Plans:
        """Those of the same model in so many bytes of flash, or in all that it may have if that is less."""
        graph, board, options, offer, _, spare = self._arguments
        share = min(1.0, max(0, room) / max(1, self._flash.room or 0))
        return Plans(graph, board, options, offer, share, spare, in_ram=self._in_ram, code=self.code)

    @property
    def room_together(self) -> int | None:
        """Bytes of flash for the constants and code of this model and of others; None for as many as they need."""
        _, board, options, *_ = self._arguments
        most = (options.flash or board.flash.bytes) - OWN_CODE_BYTES - options.flash_spare
        return None if self._flash.room is None else most

    def within(self, schedule: str, ram_limit: int, scratch_limit: int | None) -> Planned:
        spare = self._arguments[-1]
        if spare is None or spare >= ram_limit:
            return self._within(schedule, ram_limit, scratch_limit)
        found = list[Planned]()
        for limit in sorted({*(min(ram_limit, int(part * spare)) for part in SPARE_PARTS), ram_limit}):
            with suppress(DoesNotFitError):
                found.append(self._within(schedule, limit, scratch_limit))
        if not found:
            return self._within(schedule, ram_limit, scratch_limit)
        best = min(found, key=lambda each: each.constant_bytes + WORTH_RAM * max(0, each.arena_bytes - spare))
        return best.unsqueezed("more RAM than the widest network takes would save less flash")

    def _within(self, schedule: str, ram_limit: int, scratch_limit: int | None) -> Planned:
        return self.layers(ram_limit, scratch_limit) if schedule == LAYER else self.stages(ram_limit, schedule == AGAIN)

    def bound(self, schedule: str, scratch_limit: int | None) -> int:
        """Bytes of RAM that no plan needs less than; 0 where that takes as long to know as a plan."""
        return self._layers.bound(scratch_limit) if schedule == LAYER else 0

    def layers(self, ram_limit: int | None, scratch_limit: int | None) -> Planned:
        """Layer by layer; without a limit with the least RAM."""
        optimize = "ram" if ram_limit is None else self._optimize
        if self._spends_ram or optimize == "ram" or not self._copies:
            return self._layers.plan(ram_limit=ram_limit, optimize=optimize, scratch_limit=scratch_limit)
        return self._without_more_ram(ram_limit, scratch_limit)

    def _without_more_ram(self, ram_limit: int | None, scratch_limit: int | None) -> Planned:
        """Copies of constants only where there is room for them anyway."""
        lean = self._without_copies.plan(ram_limit=ram_limit, optimize=self._optimize, scratch_limit=scratch_limit)
        room = None if scratch_limit is None else lean.scratch_bytes
        found = self._layers.plan(ram_limit=lean.arena_bytes, optimize=self._optimize, scratch_limit=room)
        return _no_more_than(lean, found)

    def stages(self, ram_limit: int | None, again: bool = True) -> Planned:
        """By rows or patches where that helps; without a limit with the least RAM.

        Args:
            again: whether something may be computed twice: parts of tensors, and a training step's gradients.
        """
        if not again or not self._repeatable:
            return self._in_stages(ram_limit, again)
        if ram_limit is None:
            both = (self._in_stages(None), self._recomputing(self._repeatable[-1])._in_stages(None))
            return min(both, key=lambda planned: planned.arena_bytes)
        *larger, least = self._repeatable
        for size in (None, *larger):  # the largest gradients are the fewest, and they are where the peak is
            plans = self if size is None else self._recomputing(size)
            if plans._stages.may_fit(ram_limit):
                with suppress(DoesNotFitError):
                    return plans._in_stages(ram_limit)
        return self._recomputing(least)._in_stages(ram_limit)

    @cached_property
    def _repeatable(self) -> Sequence[int]:
        """Bytes of the gradients that can be computed again for each of their uses, the largest first."""
        return sorted({each.bytes for each in repeatable(self._graph)}, reverse=True)

    def _recomputing(self, least: int) -> Plans:
        """Those of the same step, in which gradients of so many bytes and more are computed again for each use."""
        given = recomputed(self._graph, least), *self._arguments[1:]
        return Plans(*given, in_ram=self._in_ram, code=self.code)

    def _in_stages(self, ram_limit: int | None, again: bool = True) -> Planned:
        """Of this very graph."""
        if self._lean and self._optimize != "ram" and ram_limit is not None:
            return self._lean_plan(ram_limit, again)
        if not self._spends_ram and ram_limit is not None and self._copies:
            lean = self._stages_without_copies.plan(ram_limit=ram_limit, optimize=self._optimize, again=again)
            return _no_more_than(
                lean, self._stages.plan(ram_limit=lean.arena_bytes, optimize=self._optimize, again=again)
            )
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
        found = kernels_for(self._graph, self._core, self._latitude, self._offer, self._known)
        for fork in self._forks:
            for step in range(fork.first, fork.last):
                core, node = fork.core(step), self._graph.nodes[step]
                kernels = self._in_a_fork(node, found[step], core, self._graph)
                notes = {"cores": f"core {core} of those that compute layers {fork.first} to {fork.last - 1}"}
                found[step] = [k.but(core=core, notes={**k.notes, **notes}) for k in kernels]
        return found

    def _in_a_fork(self, node: Node, kernels: Iterable[Kernel], core: int, graph: Graph) -> list[Kernel]:
        """Those for one core beside the other, priced as it computes them; copies are made where a layer is alone."""
        pace = self._pace
        if pace is not None and core:
            kernels = self._second(replace(graph.site(node), latitude=self._latitude), self._core)
        alone = [kernel for kernel in kernels if not kernel.halves and not kernel.together and not is_copying(kernel)]
        if pace is None:
            return alone
        return [pace.in_fork(kernel, core, graph.types[node.outputs[0]].bytes) for kernel in alone]

    @cached_property
    def _covers(self) -> Covers:
        return Covers(self._core, self._latitude, self._offer)

    @cached_property
    def _layers(self) -> LayerPlanner:
        covers = self._covers
        return LayerPlanner(self._graph, self._kernels, covers, self._flash, covers.groups, self._forks, self._unit)

    @property
    def _copies(self) -> bool:
        """Whether there are kernels that copy their constants to RAM."""
        return any(map(is_copying, chain(*self._kernels)))

    def _leaner_covers(self, graph: Graph) -> list[Cover]:
        return [cover for cover in self._covers(graph) if not is_copying(cover.kernel)]

    @cached_property
    def _without_copies(self) -> LayerPlanner:
        kernels = list(map(_leaner, self._kernels))
        covers = self._covers.groups
        return LayerPlanner(self._graph, kernels, self._leaner_covers, self._flash, covers, self._forks, self._unit)

    @property
    def _unit(self) -> int:
        """Bytes, of which places in memory are multiples."""
        return UNIT if self._pace is None else max(UNIT, self._pace.line)

    @cached_property
    def _split(self) -> tuple[Graph, list[list[Kernel]]]:
        """The graph for stages, with its kernels."""
        graph = split_averages(self._graph)
        known = dict(zip(self._graph.nodes, self._kernels, strict=True))
        try:
            return graph, kernels_for(graph, self._core, self._latitude, self._offer, known)
        except UnsupportedError:  # a split average without a kernel: they stay whole
            return self._graph, self._kernels

    @cached_property
    def _stages(self) -> StagePlanner:
        graph, kernels = self._split
        covers = self._covers
        return StagePlanner(graph, kernels, self._of_sites, self._ways, covers, self._flash, covers.groups)

    @cached_property
    def _stages_without_copies(self) -> StagePlanner:
        graph, kernels = self._split
        return StagePlanner(
            graph,
            list(map(_leaner, kernels)),
            self._of_sites.leaner,
            self._ways,
            self._leaner_covers,
            self._flash,
            self._covers.groups,
        )

    @property
    def _ways(self) -> str:
        return self._schedule if self._schedule in WAYS else "auto"

    def in_steps(self, planned: Planned, limit: Limit) -> Steps:
        """A plan's inference in steps."""
        return in_steps(planned, limit, self._of_sites)


def is_copying(kernel: Kernel) -> bool:
    """Whether it makes a copy of its constants in RAM."""
    return kernel.copies is not None


def _leaner(kernels: Iterable[Kernel]) -> list[Kernel]:
    return [kernel for kernel in kernels if not is_copying(kernel)]


def _no_more_than(lean: Planned, found: Planned) -> Planned:
    """What was found within the RAM of a lean plan, which is a limit of ours."""
    return found if lean.squeezed else found.unsqueezed("a copy of its constants in RAM would take more of it")


def _initial_bytes(state: State) -> int:
    """In flash, of what a state begins with: nothing where all of its bytes are one."""
    return state.initial.nbytes if len(set(state.initial.tobytes())) > 1 else 0


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
