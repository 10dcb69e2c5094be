"""The memory of a graph's values: who shares storage with whom, when it is in use, and what each step needs.

None of it depends on which covers are chosen, except for scratch, for the pairs that may share memory, and for what is
inside of several nodes that are computed together: that has no memory, and the operands of all these nodes are in use
until the last of them. `with_covers` says what becomes of a graph with them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from tinycompile.ir import Graph, Node
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Cover, Fused, contracted
from tinycompile.planner.forks import Fork, Sharing
from tinycompile.planner.problem import UNIT, Buffer, Overlap, Problem, covered, whole_units
from tinycompile.planner.stage import Stage, copy_bytes, moved, put_bytes

Options = Sequence[Sequence[Kernel]]
"""Per node the kernels to choose from, which are its trivial covers."""

WORD = 4
"""Alignment of a piece of another value, in bytes: kernels that load words run slower elsewhere, some not at all."""


def copy_name(step: int, operand: int) -> str:
    """Name of the buffer for the copy of an operand's rows that reach beyond it, or of its patch."""
    return f"<part of operand {operand} of step {step}>"


def put_name(step: int) -> str:
    """Name of the buffer for the patch of a stage's output."""
    return f"<patch of step {step}>"


def scratch_name(step: int) -> str:
    """Name of a node's scratch buffer; no value has it, since value names are not of this form."""
    return f"<scratch of step {step}>"


@dataclass
class _Storage:
    """Where values live: each in a buffer (a root value) at a displacement, buffers perhaps in a common group.

    Attributes:
        bytes: of every value of the graph.
    """

    of: dict[str, tuple[str, int]]
    group: dict[str, tuple[str, int]]
    bytes: Mapping[str, int]

    def is_whole(self, value: str) -> bool:
        """Whether nothing else is in a value's buffer: it isn't a piece of another one."""
        root, displacement = self.of[value]
        return displacement == 0 and self.bytes[root] == self.bytes[value]

    def join(self, result: str, parts: Iterable[tuple[str, int]]) -> None:
        """Fix the buffers of `parts` at their displacements inside the buffer of `result`."""
        for operand, displacement in parts:
            for member, (base, own) in list(self.group.items()):
                if base == operand:
                    self.group[member] = (result, own + displacement)

    def may_join(self, node: Node, kernel: Kernel, unit: int) -> bool:
        """Whether every part has a buffer of its own, which isn't fixed to another one yet, at an aligned place."""
        names = [node.inputs[operand] for operand in kernel.parts]
        roots = [self.of[name][0] for name in names if name in self.of and self.is_whole(name)]
        everything = [self.of[name][0] for name in node.inputs if name in self.of]
        return (
            len(roots) == len(names)
            and all(everything.count(root) == 1 and self.group.get(root) == (root, 0) for root in roots)
            and all(displacement % unit == 0 for displacement in kernel.parts.values())
        )


class Values:
    """Lifetimes: inputs from step 0, outputs to the end, scratch during its step, everything else from its producer
    to its last reader. In a stage: line buffers, and the tensors that it reads and writes, during the whole stage;
    patches like whole tensors. States live always, in memory of their own, which their next values share.

    Attributes:
        kept: states and the values that share their memory: outside the arena.
        fused: the covers of several nodes that can be used.
        options: the kernels that can be used, given what shares storage: where a node needs no code, it gets none.
        buffers: those of the values, without scratch; in a fork, in use all the time (`planner.forks`).
        other_overlaps: what else may share memory: a stage's input and output, at the distance at which they follow
            each other, and what one core uses in a fork one after the other.
    """

    def __init__(
        self,
        graph: Graph,
        candidates: Options,
        stages: Sequence[Stage] = (),
        fused: Sequence[Cover] = (),
        forks: Sequence[Fork] = (),
        unit: int = UNIT,
    ) -> None:
        """`candidates`: per node; in a stage those for some rows. `fused`: covers of several nodes, where there are no
        forks. `unit`: where buffers begin and end at multiples of more bytes."""
        self.unit = unit
        self.graph, self.stages, self.forks = graph, tuple(stages), tuple(forks)
        self._stage_of = {step: stage for stage in stages for step in range(stage.first, stage.last)}
        self._lines = {name: lines for stage in stages for name, lines in stage.lines.items()}
        self._storage = _Storage({}, {}, {name: t.bytes for name, t in graph.types.items()})
        self._pieces = _pieces_of(graph, candidates)
        self._next = {state.next: state.name for state in graph.states}
        self._old = {state.name: {state.name} for state in graph.states}
        for name in graph.inputs:
            self._new_buffer(name)
        for state in graph.states:
            self._storage.of[state.name] = self._storage.of[state.next] = (state.name, 0)
        self.options = [self._store(node, kernels) for node, kernels in zip(graph.nodes, candidates, strict=True)]
        self.kept = frozenset(value for value, (root, _) in self._storage.of.items() if root in self._old)
        self._first: dict[str, int] = {}
        self._last: dict[str, int] = {}
        scratch = [self._scratch(step, 0) for fork in self.forks for step in range(fork.first, fork.last)]
        self._touched = {each.name: {each.first} for each in scratch}
        self._sharing = Sharing(self.forks, self._touched)
        self._in_use_alone = (*self._buffers(), *self._part_buffers())
        self.buffers = self._sharing.widened(self._in_use_alone)
        self.other_overlaps = (
            *(o for stage in self.stages for o in self._stage_overlaps(stage)),
            *self._sharing.free([*self._in_use_alone, *scratch]),
        )
        self._size = {buffer.name: buffer.size for buffer in self.buffers}
        self._live = self._live_bytes()
        self.fused = tuple(cover for cover in fused if self._is_usable(cover))
        self._bytes: dict[Cover, int] = {}
        self._shared: dict[tuple[object, ...], int] = {}
        """Bytes that operands and results share at most, by the steps and by what a kernel allows."""
        self.costs_at: dict[float, dict[Cover, tuple[int, ...]]] = defaultdict(dict)
        self.cheapest_at: dict[float, list[Cover]] = {}
        """By what a byte of flash costs: the cheapest covers, as far as `flash.Price` has looked for them."""
        self._live_during = {(c.first, c.last): self._in_use(c) for c in self.fused}

    @cached_property
    def covers(self) -> tuple[Cover, ...]:
        """All: those of one node by step, then the others."""
        return (*(cover for each in self.trivial_covers for cover in each), *self.fused)

    @cached_property
    def callers(self) -> Counter[str]:
        """By the name of a kernel's function, how many covers of different first nodes could call it."""
        calls = {(cover.first, function.stem) for cover in self.covers if (function := cover.kernel.function)}
        return Counter(stem for _, stem in calls)

    @cached_property
    def trivial_covers(self) -> list[list[Cover]]:
        """By step, those of one node."""
        nodes = self.graph.nodes
        return [[Cover(s, s + 1, nodes[s], kernel) for kernel in kernels] for s, kernels in enumerate(self.options)]

    def with_covers(self, covers: Sequence[Cover]) -> Values:
        """With a node and a single kernel for each of these covers, which are all nodes'."""
        new_step = {cover.first: position for position, cover in enumerate(covers)}
        graph = contracted(self.graph, [cover.node for cover in covers])
        stages = [moved(stage, new_step[stage.first] - stage.first) for stage in self.stages]
        return Values(graph, [[cover.kernel] for cover in covers], stages, unit=self.unit)

    def beside(self, first: int, last: int, without: Iterable[str]) -> int:
        """Bytes of the buffers in use during the steps [first, last), but for those of some values."""
        left_out = {self.place(value)[0] for value in without}
        return sum(b.size for b in self.buffers if b.first < last and b.last > first and b.name not in left_out)

    def buffer_bytes(self, value: str) -> int:
        return self._size[self.place(value)[0]]

    def dies_before(self, value: str, step: int) -> bool:
        """Whether the buffer of a value isn't needed at `step` or later."""
        return self._last[self.place(value)[0]] < step

    def writers(self) -> Iterator[tuple[int, set[int]]]:
        """(the step that writes a state's memory, those that read what was in it before) of each state."""
        for step, node in enumerate(self.graph.nodes):
            for state in (self._next[name] for name in node.outputs if name in self._next):
                old = self._old[state]
                yield step, {s for s, n in enumerate(self.graph.nodes) if s != step and not old.isdisjoint(n.inputs)}

    def place(self, value: str) -> tuple[str, int]:
        """(buffer, displacement in it) of a value in RAM; the buffer of what is `kept` is named like the state."""
        return self._storage.of[value]

    def is_in_ram(self, value: str) -> bool:
        return value in self._storage.of

    def problem(self, kernels: Sequence[Kernel]) -> Problem:
        """What has to be placed if these kernels are used."""
        scratch = [self._scratch(step, kernel.scratch_bytes) for step, kernel in enumerate(kernels)]
        needed = self._sharing.widened([each for each in scratch if each.size])
        overlaps = [overlap for step, kernel in enumerate(kernels) for overlap in self.overlaps(step, kernel)]
        return Problem((*self.buffers, *needed), (*overlaps, *self.other_overlaps))

    def _scratch(self, step: int, size: int) -> Buffer:
        return Buffer(scratch_name(step), whole_units(size, self.unit), step, step + 1)

    def overlaps(self, step: int, kernel: Kernel) -> list[Overlap]:
        """What a kernel for one node allows."""
        return self.shared_by(Cover(step, step + 1, self.graph.nodes[step], kernel))

    def shared_by(self, cover: Cover) -> list[Overlap]:
        """What the kernel allows, where its operand dies and its output is born while it is executed."""
        node, kernel, found = cover.node, cover.kernel, list[Overlap]()
        in_stage = cover.first in self._stage_of
        if in_stage and not self._passes(node.outputs[0]):
            return found
        for operand, distance in kernel.distances.items():
            if node.inputs[operand] not in self._storage.of:
                continue
            (upper, shift), (lower, _) = self.place(node.inputs[operand]), self.place(node.outputs[0])
            if upper in self._old or lower in self._old:
                continue
            dies_here = cover.first <= self._last[upper] < cover.last
            dies_here = dies_here and self._first[lower] == cover.last - 1 and upper != lower
            if self.forks and not self._sharing.is_private(upper, cover.first):
                continue
            if in_stage and not self._passes(upper):
                continue
            if dies_here and shift == 0 and self._readings(node, upper) == 1 and self._group_of_one(upper, lower):
                if not kernel.in_place:
                    found.append(Overlap(upper, lower, whole_units(distance, self.unit)))
                elif self.unit == UNIT or distance % self.unit == 0:
                    found.append(Overlap(upper, lower, distance, exact=True))
        return found

    def need(self, step: int, kernel: Kernel) -> int:
        """`bytes_of` a kernel for one node."""
        return self._bytes_in_use(Cover(step, step + 1, self.graph.nodes[step], kernel))

    def bytes_of(self, cover: Cover) -> int:
        """A lower bound on the bytes in use at a cover's step: all that is live, less what may be shared at most."""
        bytes_ = self._bytes.get(cover)
        if bytes_ is None:
            bytes_ = self._bytes[cover] = self._bytes_in_use(cover)
        return bytes_

    def _bytes_in_use(self, cover: Cover) -> int:
        kernel = cover.kernel
        key = cover.first, cover.last, kernel.in_place, *kernel.distances.items()
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = self._shared_bytes(cover)
        live = self._live[cover.first] if cover.is_trivial else self._live_during[cover.first, cover.last]
        return live + whole_units(kernel.scratch_bytes, self.unit) - shared

    def _shared_bytes(self, cover: Cover) -> int:
        saved: dict[str, int] = defaultdict(int)
        stage = self._stage_of.get(cover.first)
        shared_by_stage = [o for o in self.other_overlaps if stage and o.lower == self.place(stage.output)[0]]
        for overlap in (*self.shared_by(cover), *shared_by_stage):
            saved[overlap.lower] += saving(self._size[overlap.upper], self._size[overlap.lower], overlap.distance)
        return sum(min(bytes_, self._size[lower]) for lower, bytes_ in saved.items())

    def buffers_during(self, cover: Cover) -> list[Buffer]:
        """What is in use while a cover's nodes are computed together."""
        inner = cover.node.op.inner if isinstance(cover.node.op, Fused) else ()
        return [b for b in self.buffers if b.first < cover.last and b.last > cover.first and b.name not in inner]

    def needs(self, kernels: Sequence[Kernel]) -> list[int]:
        """The same for every step, and for the time after the last one."""
        return [*(self.need(step, kernel) for step, kernel in enumerate(kernels)), self._live[len(kernels)]]

    def _is_usable(self, cover: Cover) -> bool:
        """Whether nothing but the nodes themselves knows what is inside, and the result has a place of its own.

        As a node that reads a state can't write it unless it says so, several that are computed together can't.
        """
        op, kernel = cover.node.op, cover.kernel
        if kernel.alias_of is not None or kernel.parts or not isinstance(op, Fused):
            return False
        if any(step in self._stage_of for step in range(cover.first, cover.last)):
            return False
        places = self._storage.of
        updated = {op.operands[operand] for operand in op.updates.values()}
        old = {places[name][0] for name in op.operands if name in self.kept and name not in updated}
        result_is_own = all(places[name] == (name, 0) or name in self._next for name in op.results)
        return (
            result_is_own
            and old.isdisjoint(places[name][0] for name in op.results)
            and all(name in places and self._is_inside(places[name][0], op.inner) for name in op.inner)
        )

    def _is_inside(self, value: str, inner: Container[str]) -> bool:
        """Whether a buffer is one of these values', and isn't fixed to another one."""
        if value not in inner:
            return False
        group = self._storage.group
        return group[value] == (value, 0) and sum(base == value for base, _ in group.values()) == 1

    def _in_use(self, cover: Cover) -> int:
        """Bytes of what is in use during a cover, those of a group counted once."""
        groups: dict[str, list[Buffer]] = defaultdict(list)
        for buffer in self.buffers_during(cover):
            groups[buffer.base].append(buffer)
        return sum(covered((b.displacement, b.displacement + b.size) for b in g) for g in groups.values())

    @property
    def bytes_at_end(self) -> int:
        """In use when the caller reads the outputs."""
        return self._live[len(self.graph.nodes)]

    def _passes(self, value: str) -> bool:
        """Whether a value of a stage is read in the tick that makes it."""
        return value in self._lines and self._lines[value].passes

    def _new_buffer(self, value: str) -> None:
        self._storage.of[value] = (value, 0)
        self._storage.group[value] = (value, 0)

    def _store(self, node: Node, kernels: Sequence[Kernel]) -> list[Kernel]:
        plain = [kernel for kernel in kernels if kernel.alias_of is None and not kernel.parts]
        if node.outputs[0] in self._next:
            return plain
        aliases = [kernel for kernel in kernels if kernel.alias_of is not None]
        if aliases and self._may_be_there(node, aliases[0], len(kernels) > len(aliases)):
            operand = node.inputs[aliases[0].alias_of or 0]
            root, displacement = self._storage.of[operand]
            self._storage.of[node.outputs[0]] = root, displacement + aliases[0].alias_offset
            for old in self._old.values():
                if operand in old:
                    old.add(node.outputs[0])
            return aliases[:1]
        for name in node.outputs:
            if name not in self._next:
                self._new_buffer(name)
        joins = [kernel for kernel in kernels if kernel.parts and self._storage.may_join(node, kernel, self.unit)]
        if joins:
            joined = min(joins, key=lambda kernel: kernel.instructions)
            parts = [(self._storage.of[node.inputs[operand]][0], at) for operand, at in joined.parts.items()]
            self._storage.join(node.outputs[0], parts)
            return [joined]
        return plain

    def _may_be_there(self, node: Node, kernel: Kernel, avoidable: bool) -> bool:
        """Whether the result can be its operand's memory, and should: a small piece would keep the whole in use, unless
        all pieces together are most of it. A state's memory is written while the step goes on: no pieces of it.

        Args:
            avoidable: there is a kernel that copies.
        """
        operand = node.inputs[kernel.alias_of or 0]
        if operand not in self._storage.of:
            return False
        if not avoidable:
            return True
        if self._storage.of[operand][0] in self._old:
            return False
        dtype, begin = self.graph.types[operand].dtype, self._storage.of[operand][1] + kernel.alias_offset
        aligned = begin % max(WORD, dtype.bits // 8) == 0
        return aligned and 2 * self._pieces[operand] >= self._storage.bytes[operand]

    def _buffers(self) -> tuple[Buffer, ...]:
        size = Counter[str]()

        def touch(value: str, step: int) -> None:
            if value in self._storage.of and value not in self.kept:
                root, shift = self._storage.of[value]
                self._first[root] = min(self._first.get(root, step), step)
                self._last[root] = max(self._last.get(root, step), step)
                if self.forks:
                    self._touched.setdefault(root, set()).add(step)
                bytes_ = self._lines[value].bytes if value in self._lines else self.graph.types[value].bytes
                size[root] = max(size[root], shift + bytes_)

        for value in self.graph.inputs:
            touch(value, 0)
        for step, node in enumerate(self.graph.nodes):
            for value in (*node.inputs, *node.outputs):
                touch(value, step)
        for value in self.graph.outputs:
            touch(value, len(self.graph.nodes))
        for stage in self.stages:
            kept = [name for name, lines in stage.lines.items() if not lines.passes]
            for value in (*stage.whole, stage.output, *stage.beside, *kept):
                touch(value, stage.first)
                touch(value, stage.last - 1)
        grouped = Counter(group for group, _ in self._storage.group.values())
        return tuple(
            Buffer(
                name, whole_units(size[name], self.unit), self._first[name], self._last[name] + 1, group, displacement
            )
            if grouped[group := self._storage.group[name][0]] > 1
            else Buffer(name, whole_units(size[name], self.unit), self._first[name], self._last[name] + 1)
            for name in self._first
            for displacement in (self._storage.group[name][1],)
            if size[name]
        )

    def _part_buffers(self) -> Iterator[Buffer]:
        """For copies of parts of operands, and for patches of outputs."""
        for stage in self.stages:
            for firing in stage.firings:
                parts = [(copy_name(firing.step, s.operand), copy_bytes(firing, s, self.graph)) for s in firing.sources]
                for name, bytes_ in (*parts, (put_name(firing.step), put_bytes(firing))):
                    if bytes_:
                        yield Buffer(name, whole_units(bytes_), firing.step, firing.step + 1)

    def _stage_overlaps(self, stage: Stage) -> Iterator[Overlap]:
        lower, shift = self.place(stage.output)
        for name, distance in stage.distances.items():
            upper, upper_shift = self.place(name)
            lives_on = self._last[upper] >= stage.last
            if not (lives_on or shift or upper_shift or upper == lower) and self._first[lower] == stage.first:
                yield Overlap(upper, lower, whole_units(distance))

    def _live_bytes(self) -> list[int]:
        """Per step, and after the last one: the bytes of the values in use, those of a group counted once; in a fork
        without those that the other core alone has in use.
        """
        change = [0] * (len(self.graph.nodes) + 2)
        groups: dict[str, list[Buffer]] = defaultdict(list)
        for buffer in self._in_use_alone:
            groups[buffer.base].append(buffer)
        for members in groups.values():
            times = sorted({m.first for m in members} | {m.last for m in members})
            for begin, end in pairwise(times):
                size = covered((m.displacement, m.displacement + m.size) for m in members if m.first <= begin < m.last)
                change[begin] += size
                change[end] -= size
        live = list[int]()
        for difference in change[:-1]:
            live.append(difference + (live[-1] if live else 0))
        return live

    def _readings(self, node: Node, buffer: str) -> int:
        """How many operands are in a buffer."""
        places = self._storage.of
        return sum(name in places and places[name][0] == buffer for name in node.inputs)

    def _group_of_one(self, upper: str, lower: str) -> bool:
        """Not fixed to each other: then they have their place already."""
        return self._storage.group[upper][0] != self._storage.group[lower][0]


def _pieces_of(graph: Graph, candidates: Options) -> Counter[str]:
    """Bytes of the results that can be in a value's memory, by value."""
    found = Counter[str]()
    for node, kernels in zip(graph.nodes, candidates, strict=True):
        for kernel in [kernel for kernel in kernels if kernel.alias_of is not None][:1]:
            found[node.inputs[kernel.alias_of or 0]] += graph.types[node.outputs[0]].bytes
    return found


def saving(upper: int, lower: int, distance: int) -> int:
    """The most bytes that an output of `lower` bytes can share with an operand of `upper` bytes."""
    return max(0, upper + lower - max(upper, lower, distance + upper))
