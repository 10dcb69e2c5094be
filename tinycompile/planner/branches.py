"""Which layers two cores had better compute at the same time, each other ones: dynamic programming over sets of layers.

As in IOS (Ding et al., "IOS: Inter-Operator Scheduler for CNN Acceleration", MLSys 2021): a state is a set of layers
that are done, with every layer that one of them needs. A stage leads to the next: a layer that both cores compute
together, as without branches, or a fork: layers in groups of which none needs another, each group on one core. The cost
is that of our kernels, and of the core that takes longer. Between layers that all others come before or after, such
sets are few; where they aren't, layers that follow each other, or stand side by side, count as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import combinations, pairwise

from tinycompile.ir import Graph, Node
from tinycompile.kernels.base import Kernel
from tinycompile.planner import Planned
from tinycompile.planner.forks import MEETING_INSTRUCTIONS, Fork
from tinycompile.planner.values import Values

MOST_SETS = 160
"""Of a stretch of layers; every pair of them is a stage to look at."""

SHARED_EXACTLY = 10
"""Groups of a fork up to which all ways to share them between two cores are tried."""


@dataclass(frozen=True)
class Branching:
    """Layers in another order, and which of these are forks.

    Attributes:
        order: indices of the layers before.
    """

    order: tuple[int, ...]
    forks: tuple[Fork, ...]

    def of(self, graph: Graph) -> Graph:
        """The graph in that order."""
        return replace(graph, nodes=tuple(graph.nodes[layer] for layer in self.order))


Single = Callable[[Node], Kernel | None]
"""What one core computes a layer with in a fork; None where it can't be in one."""


def branching(
    planned: Planned, single: Single, ram_limit: int | None, on_second: Single | None = None
) -> Branching | None:
    """The cheapest stages; None where no fork is worth it.

    Args:
        planned: layer by layer, for two cores.
        on_second: `single` of the second core, where that is another one than the first.
        ram_limit: bytes that a fork may need, by a bound that knows of no memory that results share with operands.
    """
    layers = _Layers(planned, single, on_second)
    order, forks = list[int](), list[Fork]()
    for stretch in layers.stretches():
        for stage in _Search(layers, stretch, ram_limit).stages() if len(stretch) > 1 else ():
            if len(stage) == 2:
                second = len(order) + len(stage[0])
                forks.append(Fork(len(order), second, second + len(stage[1])))
            order += [layer for side in stage for layer in side]
        order += stretch if len(stretch) == 1 else []
    return Branching(tuple(order), tuple(forks)) if forks else None


Stage = tuple[Sequence[int], ...]
"""Layers one after the other: those of each core, or, where it is one, those that both compute together."""


class _Layers:
    """What is known of each, sets of them as bit masks."""

    def __init__(self, planned: Planned, single: Single, second: Single | None) -> None:
        graph = planned.graph
        self.together = [kernel.price for kernel in planned.kernels]
        self._nodes, self._single, self._second = graph.nodes, single, second
        self._known, self._known_of_second = dict[int, Kernel | None](), dict[int, Kernel | None]()
        self._live = dict[int, tuple[set[str], int]]()
        values = Values(graph, [[kernel] for kernel in planned.kernels])
        self.before = _direct(graph, values)
        self._values = values
        self._reads, self._writes = dict[str, int](), dict[str, int]()
        for step, node in enumerate(graph.nodes):
            for names, masks in ((node.inputs, self._reads), (node.outputs, self._writes)):
                for name in self._buffers(names):
                    masks[name] = masks.get(name, 0) | 1 << step
        self._inputs, self._outputs = self._buffers(graph.inputs), self._buffers(graph.outputs)
        self._written_by = [self._buffers(node.outputs) for node in graph.nodes]

    def single(self, step: int) -> Kernel | None:
        """Looked for once, and only where there are branches."""
        if step not in self._known:
            self._known[step] = self._single(self._nodes[step])
        return self._known[step]

    def on_second(self, step: int) -> Kernel | None:
        """The same for the second core."""
        if self._second is None:
            return self.single(step)
        if step not in self._known_of_second:
            self._known_of_second[step] = self._second(self._nodes[step])
        return self._known_of_second[step]

    def stretches(self) -> Iterator[list[int]]:
        """Of layers between those that all others come before or after, and each of these alone."""
        count = len(self.together)
        earlier, later = [0] * count, [0] * count
        for step in range(count):
            for other in _steps(self.before[step]):
                earlier[step] |= earlier[other] | 1 << other
        for step in reversed(range(count)):
            for other in _steps(self.before[step]):
                later[other] |= later[step] | 1 << step
        stretch = list[int]()
        for step in range(count):
            if (earlier[step] | later[step]).bit_count() < count - 1:
                stretch.append(step)
                continue
            if stretch:
                yield stretch
            yield [step]
            stretch = []
        if stretch:
            yield stretch

    def bytes(self, done: int, sides: Stage) -> int:
        """In use in a fork, if no result shares memory with an operand.

        Args:
            done: the layers before it.
        """
        if done not in self._live:
            names = {n for n in (*self._inputs, *self._writes) if self._is_live(n, done)}
            self._live[done] = names, sum(map(self._values.buffer_bytes, names))
        live, size = self._live[done]
        return size + sum(self._own(done, live, side) for side in sides)

    def _is_live(self, name: str, done: int) -> bool:
        made = name in self._inputs or self._writes.get(name, 0) & done
        return bool(made) and (name in self._outputs or bool(self._reads.get(name, 0) & ~done))

    def _own(self, done: int, live: set[str], side: Sequence[int]) -> int:
        """Of one core, beside what both had."""
        own, most = dict[str, int](), 0
        for step in side:
            own.update({n: self._values.buffer_bytes(n) for n in self._written_by[step] if n not in live})
            kernel = self.single(step)
            most = max(most, sum(own.values()) + (kernel.scratch_bytes if kernel else 0))
            done |= 1 << step
            own = {name: size for name, size in own.items() if self._is_live(name, done)}
        return most

    def _buffers(self, names: Sequence[str]) -> set[str]:
        values = self._values
        return {values.place(name)[0] for name in names if values.is_in_ram(name) and name not in values.kept}


def _direct(graph: Graph, values: Values) -> list[int]:
    """Of each layer, those that have to be done: they make what it reads, or read what it writes over."""
    maker = {name: step for step, node in enumerate(graph.nodes) for name in node.outputs}
    found = [sum(1 << s for s in {maker[n] for n in node.inputs if n in maker}) for node in graph.nodes]
    for step, readers in values.writers():
        found[step] |= sum(1 << reader for reader in readers)
    return found


class _Search:
    """The stages of a stretch."""

    def __init__(self, layers: _Layers, stretch: Sequence[int], ram_limit: int | None) -> None:
        self._layers, self._ram_limit = layers, ram_limit
        self._begin = sum(1 << step for step in range(stretch[0]))
        self._units = [1 << step for step in stretch]
        self._coarsen()
        self._before = self._dependencies()
        self._work_alone = [
            (self._alone(unit, layers.single), self._alone(unit, layers.on_second)) for unit in self._units
        ]
        self._fork = cache(self._forked)

    def stages(self) -> list[Stage]:
        """The cheapest; of equals those with fewer forks."""
        sets = sorted(_closed(self._before, None), key=int.bit_count)
        best: dict[int, tuple[int, int]] = {0: (0, 0)}
        back = dict[int, tuple[int, Stage]]()
        for done in sets:
            for reached in sets:
                stage = self._stage(done, reached ^ done) if reached != done and reached & done == done else None
                if stage is None:
                    continue
                cost, sides = stage
                total = best[done][0] + cost, best[done][1] + len(sides) - 1
                if reached not in best or total < best[reached]:
                    best[reached], back[reached] = total, (done, sides)
        found, at = list[Stage](), sets[-1]
        while at:
            at, sides = back[at]
            found.append(sides)
        return found[::-1]

    def _stage(self, done: int, units: int) -> tuple[int, Stage] | None:
        """(cost, sides)."""
        if units.bit_count() == 1:
            steps = _steps(self._units[units.bit_length() - 1])
            return sum(self._layers.together[step] for step in steps), (steps,)
        fork = self._fork(units)
        if fork is not None and self._ram_limit is not None:
            before = self._begin | self._steps_of(done)
            if self._layers.bytes(before, fork[1]) > self._ram_limit:
                return None
        return fork

    def _forked(self, units: int) -> tuple[int, Stage] | None:
        """Shared so that the core that takes longer takes least."""
        groups = self._groups(units)
        if len(groups) < 2 or any(None in self._work_alone[unit] for unit in _steps(units)):
            return None
        one, two = ([sum(self._work_alone[u][core] or 0 for u in _steps(each)) for each in groups] for core in (0, 1))
        first = _balanced(one) if one == two else _shared(one, two)
        sides = [sum(each for i, each in enumerate(groups) if (i in first) == mine) for mine in (True, False)]
        most = max(sum(one[i] for i in first), sum(two) - sum(two[i] for i in first))
        return most + MEETING_INSTRUCTIONS, tuple(_steps(self._steps_of(side)) for side in sides)

    def _groups(self, units: int) -> list[int]:
        """Of units that need each other."""
        found = list[int]()
        for unit in _steps(units):
            joined, apart = 1 << unit, list[int]()
            for group in found:
                if group & self._before[unit]:
                    joined |= group
                else:
                    apart.append(group)
            found = [*apart, joined]
        return found

    @staticmethod
    def _alone(unit: int, single: Callable[[int], Kernel | None]) -> int | None:
        kernels = [single(step) for step in _steps(unit)]
        return None if None in kernels else sum(kernel.price for kernel in kernels if kernel)

    def _steps_of(self, units: int) -> int:
        return sum(self._units[unit] for unit in _steps(units))

    def _dependencies(self) -> list[int]:
        """Of each unit, those that it needs directly; a unit comes behind all of these."""
        self._units.sort(key=int.bit_length)
        found = list[int]()
        for own in self._units:
            needed = 0
            for step in _steps(own):
                needed |= self._layers.before[step]
            found.append(sum(1 << i for i, unit in enumerate(self._units) if unit & needed and unit != own))
        return found

    def _coarsen(self) -> None:
        """Join units that follow each other, else those side by side, the cheapest first, as often as needed."""
        while len(_closed(before := self._dependencies(), MOST_SETS)) > MOST_SETS:
            pairs = sorted(_follow(before) or _beside(before) or [(0, 1)], key=lambda pair: self._work(*pair))
            taken = set[int]()
            for a, b in pairs[: -(-len(pairs) // 2)]:
                if taken.isdisjoint((a, b)):
                    taken |= {a, b}
                    self._units.append(self._units[a] | self._units[b])
            self._units = [unit for i, unit in enumerate(self._units) if i not in taken]

    def _work(self, *units: int) -> int:
        return sum(self._layers.together[step] for unit in units for step in _steps(self._units[unit]))


def _after(before: Sequence[int]) -> list[int]:
    """Of each unit, those that need it directly."""
    found = [0] * len(before)
    for unit, needed in enumerate(before):
        for other in _steps(needed):
            found[other] |= 1 << unit
    return found


def _follow(before: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of units of which the second alone needs the first, and needs no other."""
    after = _after(before)
    links = ((needed.bit_length() - 1, unit) for unit, needed in enumerate(before) if needed.bit_count() == 1)
    return [(a, b) for a, b in links if after[a] == 1 << b]


def _beside(before: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of units that need the same and are needed by the same."""
    alike: dict[tuple[int, int], list[int]] = defaultdict(list)
    for unit, place in enumerate(zip(before, _after(before), strict=True)):
        alike[place].append(unit)
    return [pair for units in alike.values() for pair in pairwise(units)]


def _balanced(figures: Sequence[int]) -> set[int]:
    """The indices of one of two shares, of which the larger is about as small as can be."""
    if len(figures) > SHARED_EXACTLY:
        shares = set[int](), set[int]()
        for i in sorted(range(len(figures)), key=lambda i: -figures[i]):
            min(shares, key=lambda share: sum(figures[j] for j in share)).add(i)
        return shares[0]
    whole = sum(figures)
    ways = (
        set(rest) for count in range(1, len(figures)) for rest in combinations(range(len(figures)), count) if 0 in rest
    )
    return min(ways, key=lambda way: max(own := sum(figures[i] for i in way), whole - own))


def _shared(first: Sequence[int], second: Sequence[int]) -> set[int]:
    """The indices of what the first core computes, of groups that take each core another time; neither has nothing."""
    if len(first) > SHARED_EXACTLY:
        own, ends = set[int](), [0, 0]
        for i in sorted(range(len(first)), key=lambda i: -first[i]):
            core = 0 if ends[0] + first[i] <= ends[1] + second[i] else 1
            ends[core] += (first, second)[core][i]
            own |= {i} if core == 0 else set()
        return own if 0 < len(own) < len(first) else {max(range(len(first)), key=lambda i: first[i])}
    ways = (set(way) for count in range(1, len(first)) for way in combinations(range(len(first)), count))
    whole = sum(second)
    return min(ways, key=lambda way: max(sum(first[i] for i in way), whole - sum(second[i] for i in way)))


def _closed(before: Sequence[int], most: int | None) -> set[int]:
    """All sets with every unit that one of theirs needs; not all of them where they are more than `most`."""
    found, new = {0}, [0]
    while new and (most is None or len(found) <= most):
        done = new.pop()
        for unit, needed in enumerate(before):
            reached = done | 1 << unit
            if needed & ~done == 0 and reached not in found:
                found.add(reached)
                new.append(reached)
    return found


def _steps(mask: int) -> list[int]:
    return [step for step in range(mask.bit_length()) if mask >> step & 1]
