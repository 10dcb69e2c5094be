"""A layer as a model of its own, and what tells it from all others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from tinycompile.codegen.program import Program, build_program
from tinycompile.disk_cache import digest
from tinycompile.dtypes import INT8
from tinycompile.ir import Array, Graph, Node, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Function, Kernel
from tinycompile.ops.reshape import Reshape
from tinycompile.planner import LayerPlanner, Planned
from tinycompile.targets import Board
from tinycompile.targets.core import Core


@dataclass(frozen=True, eq=False)
class Unit:
    """A layer to be measured: a graph of one node, and its kernel.

    Attributes:
        shared: of the functions that it executes those that other layers of its model call as well: GCC specialises
            the others for the constants that it gives them.
        typical: its constants are those of typical weights, which follow from all else.
        values: of its operands, for a layer that executes more or less by them; none for any.
    """

    graph: Graph
    kernel: Kernel
    shared: frozenset[str] = frozenset()
    typical: bool = False
    values: tuple[Array, ...] = ()

    @property
    def key(self) -> str:
        """Of all that its machine code and its instructions follow from, beside compiler and core.

        Values of constants are a part of it: packed weights come in groups by how large they are. Of typical ones the
        estimate says it.
        """
        kernel = self.kernel
        types = [self.graph.types[name] for name in (*self.graph.inputs, *self.graph.outputs)]
        parts = [f"{t.dtype} {t.shape}" for t in types]
        parts += [f"{constant.ctype} {constant.layout}" for constant in kernel.constants]
        parts += [f"{kernel.scratch_bytes} {kernel.instructions} {sorted(self.shared)}"]
        parts += [] if kernel.function is None else _texts(kernel.function)
        values = [] if self.typical else [constant.values.tobytes() for constant in kernel.constants]
        values += [array.tobytes() for array in self.values]
        return digest(str(self.typical).encode(), *values, *(part.encode() for part in parts))

    def program(self, name: str, board: Board) -> Program:
        """It as a model in C."""
        planned = LayerPlanner(self.graph, [[self.kernel]]).plan(ram_limit=None, optimize="speed")
        return build_program(name, planned, alignment=board.alignment)


def units_of(planned: Planned, *, typical: bool = False) -> list[Unit | None]:
    """The layers of a plan, as if none shared anything with another.

    None for those that execute nothing, and those that can't be measured alone: in stages, on two cores, with states.
    """
    graph, kernels = planned.graph, planned.kernels
    apart = {step for stage in planned.stages for step in range(stage.first, stage.last)}
    return [
        None
        if kernel.function is None
        or index in apart
        or kernel.halves
        or kernel.together
        or planned.kept.intersection((*node.inputs, *node.outputs))
        else Unit(_alone(graph, node), kernel, typical=typical)
        for index, (node, kernel) in enumerate(zip(graph.nodes, kernels, strict=True))
    ]


def nothing(core: Core) -> Unit:
    """A model that computes nothing: what all have beside their layers."""
    pair = TensorType((1, 2), INT8)
    node = Node("nothing", Reshape((1, 2)), ("x",), ("y",))
    graph = Graph("nothing", ("x",), ("y",), (node,), {"x": pair, "y": pair}, {})
    return Unit(graph, kernels_of(graph.site(node), core)[0])


def _alone(graph: Graph, node: Node) -> Graph:
    """A node with its operands as inputs."""
    given = tuple(dict.fromkeys(name for name in node.inputs if name not in graph.constants))
    constants = {name: graph.constants[name] for name in node.inputs if name in graph.constants}
    types = {name: graph.types[name] for name in (*node.inputs, *node.outputs)}
    return Graph("layer", given, node.outputs, (node,), types, constants)


@cache
def _texts(function: Function) -> tuple[str, ...]:
    """All that is printed of a function and of those that it calls, and the headers that they need."""
    return tuple(
        text
        for each in function.all_called
        for text in (*each.parameters, each.body, *map(str, each.preambles), *each.headers)
    )
