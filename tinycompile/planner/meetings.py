"""Where two cores have to wait for each other: in front of a layer of which one reads what the other has written since
they met, or writes what the other has read or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from tinycompile.planner import Planned
from tinycompile.planner.forks import fork_of
from tinycompile.planner.problem import whole_units


@dataclass(frozen=True)
class Span:
    """Bytes [first, last) of a memory; or of these, where there are `pixel` bytes from position to position, the bytes
    `channels` of each."""

    memory: str
    first: int
    last: int
    pixel: int = 0
    channels: range = range(0)

    def in_lines(self, line: int) -> Span:
        """All bytes of the cache lines that it touches."""
        return Span(self.memory, self.first // line * line, -(-self.last // line) * line)

    def meets(self, other: Span) -> bool:
        """Whether a byte is in both."""
        if self.memory != other.memory or self.first >= other.last or other.first >= self.last:
            return False
        alike = self.pixel and self.pixel == other.pixel and (self.first - other.first) % self.pixel == 0
        one, two = self.channels, other.channels
        return not alike or (one.start < two.stop and two.start < one.stop)


@dataclass
class Accesses:
    """What a core has read and written."""

    reads: list[Span] = field(default_factory=list[Span])
    writes: list[Span] = field(default_factory=list[Span])

    def disturbs(self, other: Accesses, line: int = 0) -> bool:
        """Whether something was written that the other one has read or written; or a line, of a cache that only one of
        them has, to which the other one has written."""
        if any(one.meets(two) for one in self.writes for two in (*other.reads, *other.writes)):
            return True
        return line > 0 and any(a.in_lines(line).meets(b.in_lines(line)) for a in self.writes for b in other.writes)

    def with_(self, other: Accesses) -> Accesses:
        return Accesses([*self.reads, *other.reads], [*self.writes, *other.writes])


@dataclass(frozen=True)
class Meeting:
    """Where they meet: in front of a layer; behind the last one at the end.

    Attributes:
        written: by each core since they met before.
    """

    layer: int
    written: tuple[tuple[Span, ...], tuple[Span, ...]]

    def lines(self, line: int) -> Meeting:
        """What was written as runs of whole cache lines, no byte twice."""
        first, second = (tuple(_runs(span.in_lines(line) for span in spans)) for spans in self.written)
        return replace(self, written=(first, second))


def _runs(spans: Iterable[Span]) -> Iterator[Span]:
    last = None
    for span in sorted(set(spans), key=lambda span: (span.memory, span.first, span.last)):
        if last is not None and span.memory == last.memory and span.first <= last.last:
            last = replace(last, last=max(last.last, span.last))
            continue
        if last is not None:
            yield last
        last = span
    if last is not None:
        yield last


def meetings(planned: Planned) -> frozenset[int]:
    """The layers in front of which they meet, as `all_meetings` says."""
    return frozenset(each.layer for each in all_meetings(planned)[:-1])


def all_meetings(planned: Planned, line: int = 0) -> list[Meeting]:
    """Where they meet, the end of the inference included; never inside of a fork.

    Args:
        line: bytes of a line of the cache that core 0 alone has; 0 for none.

    Raises:
        ValueError: the halves of a layer, or the sides of a fork, disturb each other, which takes a defect of ours.
    """
    found, since = list[Meeting](), (Accesses(), Accesses())
    for layer in range(len(planned.graph.nodes)):
        fork = fork_of(planned.forks, layer)
        if fork is not None and layer > fork.first:
            continue
        own = accesses(planned, layer)
        for other in range(layer + 1, layer + 1 if fork is None else fork.last):
            more = accesses(planned, other)
            own = own[0].with_(more[0]), own[1].with_(more[1])
        if planned.kernels[layer].together is None and _conflict(own, line):
            raise ValueError(f"the cores disturb each other in {planned.graph.nodes[layer].name}")
        if _conflict((since[0], own[1]), line) or _conflict((own[0], since[1]), line):
            found.append(_meeting(layer, since))
            since = Accesses(), Accesses()
        since = _behind(planned, layer) or (since[0].with_(own[0]), since[1].with_(own[1]))
    return [*found, _meeting(len(planned.graph.nodes), since)]


def _meeting(layer: int, cores: tuple[Accesses, Accesses]) -> Meeting:
    return Meeting(layer, (tuple(cores[0].writes), tuple(cores[1].writes)))


def _conflict(cores: tuple[Accesses, Accesses], line: int) -> bool:
    return cores[0].disturbs(cores[1], line) or cores[1].disturbs(cores[0])


def _behind(planned: Planned, layer: int) -> tuple[Accesses, Accesses] | None:
    """Of each core, since they last met in a layer; None where they don't."""
    kernel, (output, *_) = planned.kernels[layer], planned.graph.nodes[layer].outputs
    if kernel.together is None:
        return None
    scratch = list(_scratch(planned, layer, 0, kernel.scratch_bytes))
    whose = (None, None) if kernel.together.last_is_copied else kernel.together.channels
    first, second = (_span(planned, output, channels=each) for each in whose)
    return Accesses(scratch, [first]), Accesses(scratch, [second])


def accesses(planned: Planned, layer: int) -> tuple[Accesses, Accesses]:
    """Of each core, in a layer; in one that they compute together, until they first meet in it."""
    kernel, node = planned.kernels[layer], planned.graph.nodes[layer]
    if kernel.function is None:
        return Accesses(), Accesses()
    inputs = [(i, name) for i, name in enumerate(node.inputs) if name in planned.offsets]
    if kernel.together:
        reads = [_span(planned, name) for _, name in inputs]
        front = Accesses(reads, list(_scratch(planned, layer, 0, kernel.scratch_bytes)))
        return front, front
    if not kernel.halves:
        reads = [_span(planned, name) for _, name in inputs]
        writes = [_span(planned, name) for name in node.outputs]
        own = Accesses(reads, [*writes, *_scratch(planned, layer, 0, kernel.scratch_bytes)])
        return (Accesses(), own) if kernel.core else (own, Accesses())
    both, begin = list[Accesses](), 0
    for half in kernel.halves:
        reads = [_span(planned, name, half.reads.get(i), half.channels, half.pixel) for i, name in inputs]
        scratch = list(_scratch(planned, layer, begin, half.kernel.scratch_bytes))
        written = _span(planned, node.outputs[0], half.writes, half.channels, half.pixel)
        both.append(Accesses(reads, [written, *scratch]))
        begin += whole_units(half.kernel.scratch_bytes)
    return both[0], both[1]


def _span(
    planned: Planned, name: str, part: tuple[int, int] | None = None, channels: range | None = None, pixel: int = 0
) -> Span:
    t, at = planned.graph.types[name], planned.offsets[name]
    first, last = (0, t.bytes) if part is None else part
    memory = "state" if name in planned.kept else "arena"
    if channels is None:
        return Span(memory, at + first, at + last)
    return Span(memory, at + first, at + last, pixel or t.shape[-1], channels)


def _scratch(planned: Planned, layer: int, begin: int, size: int) -> Iterator[Span]:
    if size:
        at = (planned.scratch_offsets[layer] or 0) + begin
        yield Span("scratch" if planned.scratch_bytes else "arena", at, at + size)
