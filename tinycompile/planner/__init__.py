"""The memory planner: orders the nodes, chooses kernels and gives every buffer its place in one arena.

It names no operator: all that it knows of a node are its kernels' figures. `plan` is the entry. What comes out has a
node per kernel: where one computes several, these have become one.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from tinycompile.ir import Graph
from tinycompile.kernels.base import Constant, Kernel
from tinycompile.kernels.cover import Cover, Group
from tinycompile.planner.candidates import BandKernels
from tinycompile.planner.choose import Choice, choose
from tinycompile.planner.covering import least_peak
from tinycompile.planner.flash import Flash
from tinycompile.planner.forks import Fork, total
from tinycompile.planner.order import reordered
from tinycompile.planner.problem import UNIT, Places, Plan, Problem, whole_units
from tinycompile.planner.reason import Reason
from tinycompile.planner.shortage import does_not_fit
from tinycompile.planner.stage import Stage, stage_macs
from tinycompile.planner.stages import WAYS, StageSearch
from tinycompile.planner.validate import validate, validate_states
from tinycompile.planner.values import Options, Values, copy_name, put_name, scratch_name
from tinycompile.work import node_macs

FindCovers = Callable[[Graph], Sequence[Cover]]
"""The covers of several nodes in a graph's order."""

FindGroups = Callable[[Graph], Sequence[Group]]
"""The nodes that are to follow each other in it."""

LARGE = Flash(1 << 20)
"""A megabyte, and as much more as it takes."""

__all__ = [
    "LARGE",
    "Flash",
    "LayerPlanner",
    "Planned",
    "StagePlanner",
    "plan",
    "planned_of",
    "replaced",
    "states_of",
]


@dataclass(frozen=True, eq=False)
class Planned:
    """A graph with its kernels and memory.

    Attributes:
        graph: in the order of execution; nodes that one kernel computes are one (`kernels.cover.Fused`).
        kernels: one per node.
        reasons: why each kernel was chosen, for people.
        offsets: of every value in RAM, in bytes: in the arena, or, of what is `kept`, in the memory of the states.
        kept: states and the values that share their memory.
        state_bytes: of that memory, beside the arena: it belongs to one model and is never lent to another.
        scratch_bytes: of scratch apart from the arena; 0 where it is inside.
        lower_bound_bytes: no placement for these kernels in this order needs less.
        order_optimal: no other order needs less at its peak, before placement and with a kernel for each node, or for
            nodes that are to follow each other.
        proved_best: no other choice of kernels within the limits costs less, by their estimates: instructions, and
            bytes of flash at the rate of `planner.flash`.
        stages: nodes that are executed together, by rows or patches.
        parts: offsets of the copies of parts of tensors that stages need, by `copy_name` and `put_name`.
        problem, placement: what was placed, and where.
        roots: of every value in RAM the buffer it is in, and how many bytes behind that one's beginning.
        forks: layers of which two cores compute different ones at the same time.
        unit: bytes, of which places are multiples.
    """

    graph: Graph
    kernels: tuple[Kernel, ...]
    reasons: tuple[Reason, ...]
    offsets: Mapping[str, int]
    kept: frozenset[str]
    state_bytes: int
    scratch_bytes: int
    arena_bytes: int
    lower_bound_bytes: int
    order_optimal: bool
    proved_best: bool
    stages: tuple[Stage, ...]
    parts: Mapping[str, int]
    problem: Problem
    placement: Plan
    roots: dict[str, tuple[str, int]]
    forks: tuple[Fork, ...] = ()
    unit: int = UNIT

    @cached_property
    def scratch_offsets(self) -> tuple[int | None, ...]:
        """Arena offset of each node's scratch, or 0 if scratch is apart; None where it has none."""
        if self.scratch_bytes:
            return tuple(0 if kernel.scratch_bytes else None for kernel in self.kernels)
        return tuple(self.placement.offsets.get(scratch_name(step)) for step in range(len(self.kernels)))

    @property
    def instructions(self) -> int:
        """Estimated instructions of one inference; where two cores compute, of the one that takes longer."""
        return total(self.forks, [kernel.instructions for kernel in self.kernels])

    @property
    def price(self) -> int:
        """What its kernels are chosen by: instructions or cycles, and what they wait for memories."""
        return total(self.forks, [kernel.price for kernel in self.kernels])

    @property
    def constants(self) -> list[Constant]:
        """All that its kernels read."""
        return [constant for kernel in self.kernels for constant in kernel.constants]

    @property
    def constant_bytes(self) -> int:
        """In flash, each kernel's own."""
        return sum(kernel.constant_bytes for kernel in self.kernels)

    @property
    def squeezed(self) -> int:
        """Layers with a kernel that needs less RAM than the fastest."""
        return sum(reason.squeezed for reason in self.reasons)

    def unsqueezed(self, why: str) -> Planned:
        """Where the limit was a choice of ours: more RAM would change nothing. `why`, for people."""
        reasons = tuple(Reason(why) if reason.squeezed else reason for reason in self.reasons)
        return replace(self, reasons=reasons)

    @property
    def macs(self) -> int:
        """Executed multiply-accumulates of one inference: in stages what is computed twice or in vain included."""
        alone = node_macs(self.graph)
        again = sum(stage_macs(stage) - sum(alone[stage.first : stage.last]) for stage in self.stages)
        return sum(alone) + again


def none_fused(_graph: Graph) -> Sequence[Cover]:
    """No covers of several nodes."""
    return ()


def none_grouped(_graph: Graph) -> Sequence[Group]:
    """Nodes may be in any order."""
    return ()


def plan(
    graph: Graph,
    candidates: Sequence[Sequence[Kernel]],
    *,
    ram_limit: int | None,
    optimize: str,
    scratch_limit: int | None = None,
    covers: FindCovers = none_fused,
    flash: Flash = LARGE,
) -> Planned:
    """`LayerPlanner.plan` for those who ask once."""
    return LayerPlanner(graph, candidates, covers, flash).plan(
        ram_limit=ram_limit, optimize=optimize, scratch_limit=scratch_limit
    )


class LayerPlanner:
    """Plans a model layer by layer; the order of execution is looked for once.

    Args:
        candidates: the kernels of each node.
        flash: for constants and code.
        forks: of the order that the graph has, which it then keeps, without covers of several nodes.
        unit: bytes, of which places in memory are multiples.
    """

    def __init__(
        self,
        graph: Graph,
        candidates: Options,
        covers: FindCovers = none_fused,
        flash: Flash = LARGE,
        groups: FindGroups = none_grouped,
        forks: Sequence[Fork] = (),
        unit: int = UNIT,
    ) -> None:
        self._flash, self._forks, self._unit = flash, forks, unit
        self._graph, self._candidates, self._order_optimal = graph, candidates, False
        if not forks:
            self._graph, self._candidates, self._order_optimal = reordered(graph, candidates, groups(graph))
        self._fused = () if forks else covers(self._graph)
        self._known: dict[int | None, tuple[Values, Mapping[Kernel, Kernel]]] = {}

    def plan(self, *, ram_limit: int | None, optimize: str, scratch_limit: int | None = None) -> Planned:
        """Choose among the kernels of each node and covers, and place everything.

        Args:
            ram_limit: bytes for the arena; None for no limit.
            optimize: "speed", "balanced", "size" or "ram".
            scratch_limit: bytes of another memory for the scratch of all kernels; None for scratch inside the arena,
                where it also is if that of some node has no room there.

        Raises:
            DoesNotFitError: the arena is larger than `ram_limit` with the kernels that need least memory.
        """
        values, originals = self._values(scratch_limit)
        choice = choose(values, ram_limit=ram_limit, optimize=optimize, flash=self._flash)
        if ram_limit is not None and choice.plan.arena_bytes > ram_limit:
            validate(choice.values.problem(choice.kernels), choice.plan)
            raise does_not_fit(self._graph.name, choice.values, choice.kernels, choice.plan, ram_limit)
        return planned_of(choice, self._order_optimal, originals)

    def bound(self, scratch_limit: int | None = None) -> int:
        """Bytes that no plan needs less than."""
        values, _ = self._values(scratch_limit)
        return max(least_peak(values.covers, values.bytes_of, len(values.options)), values.bytes_at_end)

    def _values(self, scratch_limit: int | None) -> tuple[Values, Mapping[Kernel, Kernel]]:
        """With scratch in the arena or apart, and what the kernels were that were left without their scratch."""
        if scratch_limit not in self._known:
            self._known[scratch_limit] = self._values_with(scratch_limit)
        return self._known[scratch_limit]

    def _values_with(self, scratch_limit: int | None) -> tuple[Values, Mapping[Kernel, Kernel]]:
        originals = dict[Kernel, Kernel]()
        if self._forks:  # each core needs scratch of its own: in the arena
            return Values(self._graph, self._candidates, forks=self._forks, unit=self._unit), originals
        if scratch_limit is None:
            return Values(self._graph, self._candidates, fused=self._fused, unit=self._unit), originals
        candidates = [_without_scratch(kernels, scratch_limit, originals) for kernels in self._candidates]
        if not all(candidates):  # some node's working memory is larger than that
            return self._values(None)
        fitting = [cover for cover in self._fused if cover.kernel.scratch_bytes <= scratch_limit]
        lean = _without_scratch([cover.kernel for cover in fitting], scratch_limit, originals)
        fused = [replace(cover, kernel=kernel) for cover, kernel in zip(fitting, lean, strict=True)]
        return Values(self._graph, candidates, fused=fused, unit=self._unit), originals


class StagePlanner:
    """Plans a model with stages whose nodes are executed together, by rows or patches.

    Args:
        band_kernels: kernels for a node that computes a part of its output.
        schedule: "stream", "patch" or "auto": the ways to execute stages.
        covers: for what is executed outside of stages.
        flash: for constants and code.
    """

    def __init__(
        self,
        graph: Graph,
        candidates: Options,
        band_kernels: BandKernels,
        schedule: str = "stream",
        covers: FindCovers = none_fused,
        flash: Flash = LARGE,
        groups: FindGroups = none_grouped,
    ) -> None:
        self._flash = flash
        self._graph, self._candidates, self._order_optimal = reordered(graph, candidates, groups(graph))
        self._fused = covers(self._graph)
        self._search = StageSearch(self._graph, self._candidates, band_kernels, WAYS[schedule], self._fused)

    def plan(self, *, ram_limit: int | None, optimize: str, again: bool = True) -> Planned:
        """The fastest stages within the limit; without one, or for "ram", those that need least.

        Args:
            again: whether something may be computed twice, if it must be.

        Raises:
            DoesNotFitError: the arena is larger than `ram_limit` whatever the stages.
        """
        more = again and self._search.has_more
        found = self._least(more) if ram_limit is None or optimize == "ram" else None
        if ram_limit is not None and (found is None or found.plan.arena_bytes > ram_limit):
            found = self._within(ram_limit, optimize, more=False)
            if found is None and more:
                found = self._within(ram_limit, optimize, more=True)
        choice = found or self._least(more)
        if ram_limit is not None and choice.plan.arena_bytes > ram_limit:
            raise does_not_fit(self._graph.name, choice.values, choice.kernels, choice.plan, ram_limit)
        return planned_of(choice, self._order_optimal)

    def may_fit(self, ram_limit: int) -> bool:
        """Whether there are stages within a limit by their bounds, in ways that compute nothing twice."""
        return self._search.best(ram_limit) is not None

    def _within(self, ram_limit: int, optimize: str, more: bool) -> Choice | None:
        """The fastest stages; tighter bounds are tried where placement leaves gaps."""
        limit = ram_limit
        for _ in range(ATTEMPTS):
            stages = self._search.best(limit, more)
            if stages is None:
                return None
            values = self._values(stages)
            if values is not None:
                choice = choose(values, ram_limit=ram_limit, optimize=optimize, flash=self._flash)
                if choice.plan.arena_bytes <= ram_limit:
                    return choice
            limit -= max(8, ram_limit // 50)
        return None

    def _least(self, more: bool) -> Choice:
        found = [self._least_once, self._least_again] if more else [self._least_once]
        return min(found, key=lambda choice: choice.plan.arena_bytes)

    @cached_property
    def _least_once(self) -> Choice:
        return self._least_of(more=False)

    @cached_property
    def _least_again(self) -> Choice:
        return self._least_of(more=True)

    def _least_of(self, more: bool) -> Choice:
        """The smallest arena among the stages with the smallest bounds; wider bounds may be placed with less."""
        limit, best = self._search.smallest(more), None
        for _ in range(ATTEMPTS):
            values = self._values(self._search.best(limit, more) or [])
            if values is not None:
                choice = choose(values, ram_limit=None, optimize="ram", flash=self._flash)
                if best is None or choice.plan.arena_bytes < best.plan.arena_bytes:
                    best = choice
                if best.plan.arena_bytes <= limit:
                    break
            limit += max(8, limit // 50)
        if best is None:
            values = Values(self._graph, self._candidates, fused=self._fused)
            best = choose(values, ram_limit=None, optimize="ram", flash=self._flash)
        return best

    def _values(self, stages: Sequence[Stage]) -> Values | None:
        options = self._search.options(stages, self._candidates)
        return None if options is None else Values(self._graph, options, stages, self._fused)


ATTEMPTS = 6
"""How often stages are looked for within a tighter limit, because placement left gaps."""


def planned_of(choice: Choice, order_optimal: bool, originals: Mapping[Kernel, Kernel] | None = None) -> Planned:
    """Validate a choice and look up where everything is.

    Args:
        originals: the kernels behind those that were planned without their scratch, if that is apart.
    """
    values, found = choice.values, choice.plan
    graph, problem = values.graph, values.problem(choice.kernels)
    placement = replace(found, offsets=Places(partial(_validated, problem, found)))
    validate_states(graph, values.kept)
    kernels, scratch_bytes = choice.kernels, 0
    states, state_bytes = states_of(graph, values.unit)
    if originals:
        kernels = tuple(originals[kernel] for kernel in kernels)
        scratch_bytes = whole_units(max(kernel.scratch_bytes for kernel in kernels))
    roots = {name: values.place(name) for name in graph.types if values.is_in_ram(name)}
    return Planned(
        graph=graph,
        kernels=kernels,
        reasons=choice.reasons,
        offsets=Places(partial(_offsets, states, roots, values.kept, placement)),
        kept=values.kept,
        state_bytes=state_bytes,
        scratch_bytes=scratch_bytes,
        arena_bytes=placement.arena_bytes,
        lower_bound_bytes=placement.lower_bound_bytes,
        order_optimal=order_optimal,
        proved_best=choice.proved_best,
        stages=values.stages,
        parts=Places(partial(_parts, values.stages, placement)),
        problem=problem,
        placement=placement,
        roots=roots,
        forks=values.forks,
        unit=values.unit,
    )


def _validated(problem: Problem, plan: Plan) -> Mapping[str, int]:
    validate(problem, plan)
    return plan.offsets


def _offsets(
    states: Mapping[str, int], roots: Mapping[str, tuple[str, int]], kept: Container[str], placement: Plan
) -> dict[str, int]:
    return {
        name: (states if name in kept else placement.offsets).get(root, 0) + shift
        for name, (root, shift) in roots.items()
    }


def _parts(stages: Sequence[Stage], placement: Plan) -> dict[str, int]:
    firings = [firing for stage in stages for firing in stage.firings]
    names = [copy_name(f.step, s.operand) for f in firings for s in f.sources] + [put_name(f.step) for f in firings]
    return {name: placement.offsets[name] for name in names if name in placement.offsets}


def replaced(planned: Planned, placement: Plan) -> Planned:
    """The same plan with everything at other places of the arena.

    Raises:
        ValueError: the placement breaks a promise.
    """
    validate(planned.problem, placement)
    return replace(
        planned,
        offsets=_offsets(states_of(planned.graph, planned.unit)[0], planned.roots, planned.kept, placement),
        arena_bytes=placement.arena_bytes,
        parts=_parts(planned.stages, placement),
        placement=placement,
    )


def states_of(graph: Graph, unit: int = UNIT) -> tuple[dict[str, int], int]:
    """Offset of each state in the memory of all, and its size, in bytes."""
    offsets, end = dict[str, int](), 0
    for state in graph.states:
        offsets[state.name] = end
        end += whole_units(graph.types[state.name].bytes, unit)
    return offsets, end


def _without_scratch(kernels: Sequence[Kernel], limit: int, originals: dict[Kernel, Kernel]) -> list[Kernel]:
    """The kernels whose scratch fits elsewhere, as if they had none; `originals` learns which is which."""
    fitting = [kernel for kernel in kernels if kernel.scratch_bytes <= limit]
    lean = [kernel.but(scratch_bytes=0) if kernel.scratch_bytes else kernel for kernel in fitting]
    originals.update(zip(lean, fitting, strict=True))
    return lean
