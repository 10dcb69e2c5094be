"""What executing nodes together by rows needs and takes at least, from sums: said of any run without making its stage.

Of n nodes there are n (n + 1) / 2 runs, and a stage takes as long to make as it has nodes. So the search asks here
first, and makes the few stages that are left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from tinycompile.access import Reach
from tinycompile.ir import Node
from tinycompile.planner.candidates import TICK_INSTRUCTIONS, TURN_INSTRUCTIONS, Appraiser, moves
from tinycompile.planner.members import Geometry, Reaches, up_of
from tinycompile.planner.problem import whole_units
from tinycompile.planner.stage import NotStreamable, grid, has_rows
from tinycompile.planner.values import Values


class Bounds:
    """Of the runs of nodes of a graph, each of which computes so many rows at a time, with all of their columns.

    Where some node enlarges its operand, others compute more rows at a time than that, and less is said.
    """

    def __init__(self, geometry: Geometry, values: Values, rows: int, appraiser: Appraiser) -> None:
        self._geometry, self._values, self._rows, self._appraiser = geometry, values, rows, appraiser
        self._count = len(geometry.graph.nodes)
        self._reaches = [_reaches(geometry, step) for step in range(self._count)]
        self._enlarges = any(up_of(reaches) > 1 for reaches in self._reaches)
        self._names = [
            {name for name in (*node.inputs, *node.outputs) if values.is_in_ram(name)} for node in geometry.graph.nodes
        ]
        self._known = -1
        self._fewest: list[int] = []
        read = self._rows_read()
        held = [self._held(step, read.get(node.outputs[0], 0)) for step, node in enumerate(geometry.graph.nodes)]
        self._lines = [whole_units(bytes_) for bytes_, _ in held]
        self._moves = [instructions for _, instructions in held]
        self._read_until = [_read_until(geometry, node) for node in geometry.graph.nodes]
        self._kept: dict[int, tuple[list[int], list[int]]] = {}
        self._alone = [self._fewest_alone(step) for step in range(self._count)]
        self._least: dict[tuple[int, int], int] = {}

    def instructions(self, first: int, last: int) -> int:
        """Of the nodes [first, last).

        A kernel for some rows, called again and again, isn't faster than the fastest for all of them, but for what it
        is spared: so kernels estimate, and tests check. What a stage adds for each turn, and to move what its lines
        hold, comes on top.
        """
        fewest = self._fewest_until()
        return fewest[last] - fewest[first] + self._inside(first, last)[1]

    def cheaper(self, end: int, starts: Iterable[int], cost: Sequence[float], than: float) -> Iterator[int]:
        """Where runs up to `end` begin that may cost less `than` that, with what is executed before them.

        Args:
            cost: of what is executed before each node.
        """
        fewest, (_, moved) = self._fewest_until(), self._until(end)
        rest = than - fewest[end] - moved[-1]
        return (first for first in starts if cost[first] - fewest[first] - moved[first] < rest)

    def bytes(self, first: int, last: int) -> int:
        """In use during the nodes [first, last): what lives beside them, what they read, keep and leave."""
        return self.bytes_outside(first, last) + self._inside(first, last)[0]

    def bytes_outside(self, first: int, last: int) -> int:
        """The same without what they keep of what is between them, which depends on how they are executed.

        Of what the last one leaves no more can share memory with what they read than either has.
        """
        if (first, last) not in self._least:
            values, graph = self._values, self._geometry.graph
            output = graph.nodes[last - 1].outputs[0]
            names = set[str]().union(*self._names[first:last])
            made = {name for node in graph.nodes[first : last - 1] for name in node.outputs}
            read = {values.place(name)[0] for name in names - made - {output}} - values.kept
            read.discard(values.place(output)[0])
            before, after = sum(map(values.buffer_bytes, read)), whole_units(graph.types[output].bytes)
            self._least[first, last] = values.beside(first, last, names) + max(before, after)
        return self._least[first, last]

    def _inside(self, first: int, last: int) -> tuple[int, int]:
        """(bytes, instructions to move lines) of what is between the nodes of a run."""
        kept, moved = self._until(last)
        return kept[-1] - kept[first], moved[-1] - moved[first]

    def _until(self, last: int) -> tuple[list[int], list[int]]:
        """The same of what the first so many nodes of a run up to `last` leave inside, by their number."""
        if last not in self._kept:
            found = [self._whole_or_lines(step, last) for step in range(last - 1)]
            self._kept[last] = _sums(bytes_ for bytes_, _ in found), _sums(moved for _, moved in found)
        return self._kept[last]

    def _fewest_until(self) -> list[int]:
        """Instructions of the first so many nodes, without what their lines take, by their number."""
        if len(self._appraiser.fewest) != self._known:
            self._known = len(self._appraiser.fewest)
            self._fewest = _sums(map(self._fewest_of, range(self._count)))
        return self._fewest

    def _whole_or_lines(self, step: int, last: int) -> tuple[int, int]:
        """Of a node's output inside a run up to `last`: all of it where it is needed later, else its lines."""
        if self._read_until[step] < last:
            return self._lines[step], self._moves[step]
        name = self._geometry.graph.nodes[step].outputs[0]
        return (0 if name in self._values.kept else whole_units(self._geometry.graph.types[name].bytes)), 0

    def _fewest_of(self, step: int) -> int:
        """Instructions of a node, without what its lines take."""
        turning, whole = self._alone[step]
        return turning + self._appraiser.fewest.get((step, self._rows), whole) if turning else 0

    def _fewest_alone(self, step: int) -> tuple[int, int]:
        """(instructions of a node's turns, 0 where nothing is said; of the fastest kernel for all rows)."""
        if self._geometry.is_given(step) or self._enlarges:
            return 0, 0
        turns = -(-self._height(step) // self._rows)
        fewest = min((k.price - k.spared_by_rows for k in self._values.options[step]), default=0)
        return turns * (TURN_INSTRUCTIONS + TICK_INSTRUCTIONS), fewest

    def _rows_read(self) -> dict[str, int]:
        """By value, the most rows of it that one turn of a node reads."""
        found = dict[str, int]()
        for reaches, node in zip(self._reaches, self._geometry.graph.nodes, strict=True):
            for operand, reach in reaches.items():
                rows, name = (self._rows - 1) * reach.stride + reach.extent, node.inputs[operand]
                found[name] = max(rows, found.get(name, 0))
        return found

    def _held(self, step: int, rows: int) -> tuple[int, int]:
        """(bytes of the rows of a node's output that are kept from turn to turn, instructions to move them), if all
        that read it are in the run, so many rows at a time.
        """
        t = self._geometry.graph.types[self._geometry.graph.nodes[step].outputs[0]]
        if self._enlarges or not has_rows(t.shape) or rows <= self._rows:
            return 0, 0
        row_bytes, turns = t.bytes // grid(t.shape)[0], -(-grid(t.shape)[0] // self._rows)
        return rows * row_bytes, moves(turns, (rows - self._rows) * row_bytes)

    def _height(self, step: int) -> int:
        """Rows that a node computes, or sums up."""
        sig = self._geometry.sigs[step]
        shape = (sig.input if self._geometry.sums(step) else sig.output).shape
        return grid(shape)[0] if has_rows(shape) else 1


def _read_until(geometry: Geometry, node: Node) -> int:
    """The last step that reads a node's output; that after all steps where it is a result."""
    name, steps = node.outputs[0], geometry.steps
    if name in geometry.graph.results:
        return len(steps)
    return max((steps[reader] for reader in geometry.consumers.get(name, ())), default=-1)


def _reaches(geometry: Geometry, step: int) -> Reaches:
    try:
        return geometry.reaches(step, "rows")
    except NotStreamable:  # nor is a run with it
        return dict[int, Reach]()


def _sums(values: Iterable[int]) -> list[int]:
    """Of the first so many."""
    return list(accumulate(values, initial=0))
