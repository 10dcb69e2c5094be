"""Kernels for control flow: the graphs inside are planned on their own, and become a function that calls their layers.

What a graph inside reads and what it results in are in memory of the layer that it is in: for the planner they are
states, whose memory lies outside of the arena. What a loop carries is a state in earnest, so that a turn writes the
next value where the old one was as soon as nobody needs that any more. The arena of a graph inside is scratch of the
layer: two branches, or a loop's condition and body, have the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinycompile.ir import Array, Graph, Node, Site, State, TensorType, free_name
from tinycompile.kernels import Covers, Offer, kernels_for
from tinycompile.kernels.base import Constant, Function, Kernel
from tinycompile.kernels.cover import part_nodes
from tinycompile.kernels.render import render
from tinycompile.ops._region import with_known
from tinycompile.ops.conditional import Conditional
from tinycompile.ops.while_loop import WhileLoop
from tinycompile.passes import optimize
from tinycompile.passes.own_states import own_states
from tinycompile.planner import LayerPlanner, Planned, states_of
from tinycompile.planner.problem import whole_units
from tinycompile.targets.core import Core

UNKNOWN_TURNS = 16
"""Of a loop, for the estimate of its instructions."""
_CALL = 6
"""Instructions around each call, about."""


class WithControlFlow:
    """An offer of kernels for all operators, those with graphs inside included."""

    def __init__(self, offer: Offer, optimize_for: str = "balanced") -> None:
        """`offer`: for the others. `optimize_for`: what to prefer inside."""
        self._offer = offer
        self._ways = tuple(dict.fromkeys((optimize_for, "ram")))

    def __call__(self, site: Site, core: Core) -> list[Kernel]:
        """Raises UnsupportedError: a layer inside has no kernel."""
        make = _conditional if isinstance(site.node.op, Conditional) else _while_loop
        if not isinstance(site.node.op, Conditional | WhileLoop):
            return self._offer(site, core)
        found = [make(site, _Nested(self, site, core, way)) for way in self._ways]
        return found[:1] if len({kernel.scratch_bytes for kernel in found}) == 1 else found


@dataclass(frozen=True)
class _Call:
    """Of a layer inside. `function`: as `Function.text` names it."""

    comment: str
    function: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class _Region:
    """A graph inside, as C.

    Attributes:
        places: of its outputs in the arena, as pointers.
    """

    calls: tuple[_Call, ...]
    places: tuple[str, ...]
    instructions: int


@dataclass(eq=False)
class _Nested:
    """What the graphs of a layer have in common: functions, constants, an arena.

    Attributes:
        arena_bytes: of the graph that needs most. code_bytes: of all functions.
    """

    offer: WithControlFlow
    site: Site
    core: Core
    way: str
    arena_bytes: int = 0
    code_bytes: int = 0
    functions: list[Function] = field(default_factory=list[Function])
    constants: list[Constant] = field(default_factory=list[Constant])

    def optimized(self, graph: Graph) -> Graph:
        """After the passes; without those that depend on weights where these can be replaced."""
        return optimize(graph) if self.site.latitude is None else optimize(graph, ())

    def region(self, graph: Graph, names: Mapping[str, str]) -> _Region:
        """Plan a graph whose states are in memory of the layer.

        Args:
            names: of the pointers to it, by state.
        """
        latitude = self.site.latitude
        kernels = kernels_for(graph, self.core, latitude, self.offer)
        covers = Covers(self.core, latitude, self.offer)
        planner = LayerPlanner(graph, kernels, covers, groups=covers.groups)
        planned = planner.plan(ram_limit=None, optimize=self.way)
        self.arena_bytes = max(self.arena_bytes, planned.arena_bytes)
        place = _Places(planned, names)
        calls = [self._call(planned, step, place) for step, kernel in enumerate(planned.kernels) if kernel.function]
        outputs = tuple(place(name) for name in planned.graph.outputs)
        return _Region(tuple(calls), outputs, planned.instructions + _CALL * len(calls))

    def constant(self, constant: Constant) -> str:
        """The parameter that is given an array; equal ones are one."""
        for number, known in enumerate(self.constants):
            if known is constant or _same(known, constant):
                return f"constant_{number}"
        number = len(self.constants)
        self.constants.append(replace(constant, suffix=f"{constant.suffix}_{number}"))
        return f"constant_{number}"

    def kernel(self, variant: str, template: str, parameters: Sequence[str], **values: Any) -> Kernel:
        """The layer's, whose scratch is the arena of its graphs."""
        scratch = whole_units(self.arena_bytes)
        regions = [value for value in values.values() if isinstance(value, _Region)]
        used = " ".join(word for r in regions for call in r.calls for word in call.arguments)
        used += " ".join(f"{copy['to']} {copy['origin']}" for copy in values.get("copies", ()))
        names = [each.rpartition("*")[2].split()[-1] for each in parameters]
        unused = [name for name in names if name not in used.replace(")", " ").split() and name != "condition"]
        text = render(f"kernels/{template}.c.j2", scratch=scratch, unused=unused, **values)
        constants = [f"const {c.ctype} *constant_{number}" for number, c in enumerate(self.constants)]
        return Kernel(
            variant,
            Function(
                f"{template}_of_{sum(len(region.calls) for region in regions)}",
                (*parameters, *constants, *(["void *scratch"] if scratch else [])),
                text,
                ("kernels/tc_copy.h",),
                _COMMENTS[template],
                callees=tuple(self.functions),
            ),
            tuple(self.constants),
            scratch_bytes=scratch,
            code_bytes=self.code_bytes + 60 + 24 * sum(len(region.calls) for region in regions),
            notes={"arena": f"{scratch:,} bytes"},
        )

    def _call(self, planned: Planned, step: int, place: _Places) -> _Call:
        node, kernel, constants = planned.graph.nodes[step], planned.kernels[step], planned.graph.constants
        arguments = [place(name) for name in (*node.inputs, *node.outputs) if name not in constants]
        arguments += [self.constant(constant) for constant in kernel.constants]
        scratch = planned.scratch_offsets[step]
        arguments += [f"arena + {scratch}"] if kernel.scratch_bytes and scratch is not None else []
        if kernel.function not in self.functions and kernel.function is not None:
            self.functions.append(kernel.function)
            self.code_bytes += kernel.code_bytes
        number = next(i for i, function in enumerate(self.functions) if function == kernel.function)
        comment = " + ".join(part.name for part in part_nodes(node))
        return _Call(_plain(f"{node.op.title}: {comment}"), f"${number}", tuple(arguments))


_COMMENTS = {
    "conditional": "Computes one of two graphs, which have the same memory.",
    "while_loop": "Repeats its body as long as the condition holds; a turn leaves the next values in the results.",
}


class _Places:
    """The C of a pointer to a value of a graph inside."""

    def __init__(self, planned: Planned, names: Mapping[str, str]) -> None:
        self._planned, self._names = planned, names
        self._starts = states_of(planned.graph, planned.unit)[0]

    def __call__(self, name: str) -> str:
        ctype, offset = self._planned.graph.types[name].dtype.ctype, self._planned.offsets[name]
        if name not in self._planned.kept:
            return f"({ctype} *)(arena + {offset})"
        root = max((start, state) for state, start in self._starts.items() if start <= offset)[1]
        pointer, shift = self._names[root], offset - self._starts[root]
        const = "const " if pointer.startswith("input_") else ""
        if shift == 0 and self._planned.graph.types[root].dtype.ctype == ctype:
            return pointer
        return f"({const}{ctype} *)({const}void *)(({const}uint8_t *){pointer} + {shift})"


def _conditional(site: Site, nested: _Nested) -> Kernel:
    op = site.node.op
    if not isinstance(op, Conditional):
        raise TypeError(op)
    known = _known(site.constants[1:])
    pointers = [f"input_{i}" for i in range(len(site.sig.inputs) - 1) if i not in known]
    regions = list[_Region]()
    for graph in op.graphs:
        graph = nested.optimized(with_known(graph, known))
        before = _free(graph, len(graph.outputs))
        states = [_state(graph, name, after) for name, after in zip(before, graph.outputs, strict=True)]
        inside = _in_memory(graph, states, before, graph.inputs)
        names = dict(zip(graph.inputs, pointers, strict=True)) | {n: f"output_{i}" for i, n in enumerate(before)}
        regions.append(nested.region(inside, names))
    inputs = [t for i, t in enumerate(site.sig.inputs[1:]) if i not in known]
    parameters = ["const uint8_t *condition", *_parameters(pointers, inputs, site.sig.outputs)]
    then, otherwise = regions
    kernel = nested.kernel("branches", "conditional", parameters, then=then, otherwise=otherwise)
    return replace(kernel, instructions=_CALL + max(then.instructions, otherwise.instructions))


def _while_loop(site: Site, nested: _Nested) -> Kernel:
    op = site.node.op
    if not isinstance(op, WhileLoop):
        raise TypeError(op)
    known = {i: value for i, value in _known(site.constants).items() if i >= op.carried}
    condition, body = (nested.optimized(with_known(graph, known)) for graph in op.graphs)
    results = [f"output_{i}" for i in range(op.carried)]
    given = [f"input_{i}" for i in range(len(site.sig.inputs)) if site.constants[i] is None]
    kept = [f"input_{i}" for i in range(op.carried, len(site.sig.inputs)) if i not in known]
    pointers = [*results, *kept]
    going = nested.region(_in_memory(condition, [], [], condition.inputs, condition.outputs), _by(condition, pointers))
    carried = body.inputs[: op.carried]
    states = [_state(body, name, after) for name, after in zip(carried, body.outputs, strict=True)]
    turn = nested.region(_in_memory(body, states, carried, body.inputs[op.carried :]), _by(body, pointers))
    copies = [_copy(site, nested, i) for i in range(op.carried)]
    types = [t for t, constant in zip(site.sig.inputs, site.constants, strict=True) if constant is None]
    values = {"condition": going, "body": turn, "going": going.places[0], "copies": copies}
    kernel = nested.kernel("loop", "while_loop", _parameters(given, types, site.sig.outputs), **values)
    turns = UNKNOWN_TURNS if op.turns is None else op.turns
    spent = (turns + 1) * (going.instructions + 4) + turns * turn.instructions
    copied = sum(8 + t.bytes // 2 for t in site.sig.outputs)
    in_place = op.carried > 0 and site.constants[0] is None
    return replace(kernel, instructions=spent + copied, in_place=in_place)


def _copy(site: Site, nested: _Nested, place: int) -> dict[str, object]:
    """What a result begins with."""
    t, value = site.sig.outputs[place], site.constants[place]
    content = set[int]() if value is None else set(t.dtype.pack(value).tobytes())
    if len(content) == 1:  # rows that a loop fills, mostly
        return {"to": f"output_{place}", "origin": "", "bytes": t.bytes, "fill": content.pop()}
    if value is None:
        origin = f"input_{place}"
    else:
        origin = nested.constant(Constant("initial", "int8_t", t.dtype.pack(value).view(np.int8), str(t)))
    return {
        "to": f"output_{place}",
        "origin": origin,
        "bytes": t.bytes,
        "shared": place == 0 and value is None,
        "fill": None,
    }


def _in_memory(
    graph: Graph, states: Sequence[State], written: Iterable[str], read: Iterable[str], outputs: Sequence[str] = ()
) -> Graph:
    """The graph with what it reads and writes in memory outside of its arena, and `outputs` inside.

    Args:
        states: those that are written, `written` their names. read: what stays as it is: states that nobody writes.
    """
    types = dict(graph.types)
    types.update((state.name, graph.types[state.next]) for state in states if state.name not in types)
    found = own_states(replace(graph, inputs=(), outputs=tuple(outputs), states=tuple(states), types=types))
    fixed = [_state(graph, name, name) for name in read if name not in written]
    return replace(found, states=(*found.states, *fixed))


def _state(graph: Graph, name: str, following: str) -> State:
    """What it begins with isn't looked at: whoever has the memory has written it."""
    t = graph.types[following]
    return State(name, np.zeros(t.shape, t.dtype.carrier), following)


def _free(graph: Graph, count: int) -> list[str]:
    """Names for what is in memory before it is written."""
    taken, found = set(graph.types), list[str]()
    for number in range(count):
        found.append(free_name(f"before result {number}", taken))
        taken.add(found[-1])
    return found


def _by(graph: Graph, pointers: Sequence[str]) -> dict[str, str]:
    return dict(zip(graph.inputs, pointers, strict=True))


def _known(constants: Sequence[Array | None]) -> dict[int, Array]:
    return {place: value for place, value in enumerate(constants) if value is not None}


def _parameters(names: Sequence[str], inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> list[str]:
    given = [f"const {t.dtype.ctype} *{name}" for name, t in zip(names, inputs, strict=True)]
    return [*given, *(f"{t.dtype.ctype} *output_{i}" for i, t in enumerate(outputs))]


def _same(one: Constant, other: Constant) -> bool:
    return (one.ctype, one.layout) == (other.ctype, other.layout) and one.values.tobytes() == other.values.tobytes()


def _plain(text: str) -> str:
    """Safe inside a comment of C."""
    safe = re.sub(r"[^ -~]", "?", text).replace("*/", "* /").replace("/*", "/ *").replace("\\", "|")
    return re.sub(r"\?{2,}", "?", safe)[:100]


def layers_inside(node: Node) -> int:
    """How many operators the graphs of a node have."""
    op = node.op
    if not isinstance(op, Conditional | WhileLoop):
        return 0
    return sum(1 + layers_inside(each) for graph in op.graphs for each in graph.nodes)
