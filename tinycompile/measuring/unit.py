"""A layer as a model of its own, and what tells it from all others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain

from tinycompile.codegen.program import Program, build_program
from tinycompile.disk_cache import digest
from tinycompile.dtypes import INT8
from tinycompile.ir import Graph, Node, TensorType
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Function, Kernel
from tinycompile.ops.reshape import Reshape
from tinycompile.planner import LayerPlanner, Planned
from tinycompile.resources import runtime_dir
from tinycompile.targets import Board
from tinycompile.targets.core import Core

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include "([^"]+)"', re.MULTILINE)
_OWN_FUNCTION = re.compile(r"^(static [^\n(]*TC_NOINLINE|TC_[A-Z0-9_]+\()", re.MULTILINE)
"""In a header with functions that aren't inlined: their beginning, or that of a macro which makes one."""


@dataclass(frozen=True)
class Company:
    """Who else in a model calls a layer's functions: GCC specialises those with a single caller for its constants.

    Attributes:
        function: another layer calls the same function, with constants of its own.
        helpers: another function calls those that the runtime's headers or its preambles bring.
    """

    function: bool = False
    helpers: bool = False


@dataclass(frozen=True, eq=False)
class Unit:
    """A layer to be measured: a graph of one node, and its kernel."""

    graph: Graph
    kernel: Kernel
    company: Company = Company()

    @property
    def key(self) -> str:
        """Of all that its machine code and its instructions follow from, beside compiler and core.

        Values of constants are none of it: where the time of a kernel depends on them, so does its estimate.
        """
        kernel = self.kernel
        types = [self.graph.types[name] for name in (*self.graph.inputs, *self.graph.outputs)]
        parts = [f"{t.dtype} {t.shape}" for t in types]
        parts += [f"{constant.ctype} {constant.layout}" for constant in kernel.constants]
        parts += [f"{kernel.scratch_bytes} {kernel.instructions} {self.company}"]
        parts += [] if kernel.function is None else _texts(kernel.function)
        return digest(*(part.encode() for part in parts))

    def program(self, name: str, board: Board) -> Program:
        """It as a model in C."""
        planned = LayerPlanner(self.graph, [[self.kernel]]).plan(ram_limit=None, optimize="speed")
        return build_program(name, planned, alignment=board.alignment)


def units_of(planned: Planned) -> list[Unit | None]:
    """The layers of a plan; None for those that can't be measured alone: in stages, on two cores, with states."""
    graph, kernels = planned.graph, planned.kernels
    apart = {step for stage in planned.stages for step in range(stage.first, stage.last)}
    company = _company([kernel.function for kernel in kernels])
    return [
        None
        if index in apart or kernel.halves or planned.kept.intersection((*node.inputs, *node.outputs))
        else Unit(_alone(graph, node), kernel, beside)
        for index, (node, kernel, beside) in enumerate(zip(graph.nodes, kernels, company, strict=True))
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


def _company(functions: Sequence[Function | None]) -> list[Company]:
    """Of each layer, by the functions of all."""
    layers, callers = dict[Function, int](), dict[str, set[Function]]()
    for function in filter(None, functions):
        layers[function] = layers.get(function, 0) + 1
        for helper in _helpers(function):
            callers.setdefault(helper, set()).add(function)
    return [
        Company()
        if function is None
        else Company(layers[function] > 1, any(len(callers[helper]) > 1 for helper in _helpers(function)))
        for function in functions
    ]


@cache
def _helpers(function: Function) -> frozenset[str]:
    """What brings functions that it calls: headers and preambles, of which a model has each once."""
    called = function.all_called
    headers = chain.from_iterable(each.headers for each in called)
    preambles = (str(text) for each in called for text in each.preambles)
    return frozenset(chain(preambles, *map(_with_functions, headers)))


@cache
def _with_functions(header: str) -> frozenset[str]:
    """A header of the runtime and those that it includes, as far as they have functions of their own."""
    text = (runtime_dir() / header).read_text()
    included = (next(runtime_dir().rglob(name)) for name in _INCLUDE.findall(text))
    found = frozenset(chain.from_iterable(_with_functions(str(p.relative_to(runtime_dir()))) for p in included))
    return found | {header} if _OWN_FUNCTION.search(text) else found


@cache
def _texts(function: Function) -> tuple[str, ...]:
    """All that is printed of a function and of those that it calls, and the headers that they need."""
    return tuple(
        text
        for each in function.all_called
        for text in (*each.parameters, each.body, *map(str, each.preambles), *each.headers)
    )
