"""Control flow of ONNX files, written out when they are read: If, Loop and Scan.

The branch whose condition is known, and a body as often as it is executed, take the node's place. Where a condition is
computed at run time, both branches are computed if they are small, and Where takes the results of one: nodes have no
side effects. Larger branches, and loops that are long or end when something is computed, stay (`onnx_bodies.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_functions import with_names
from tinycompile.frontend.onnx_module import copied, onnx_module
from tinycompile.frontend.onnx_rewrite import names_of
from tinycompile.frontend.onnx_shapes import FEW, computed, inferred, opset_of, shapes_of
from tinycompile.frontend.onnx_untrusted import array_of, messages
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array, free_name

MOST_NODES = 1000
"""What a node is written out as, at most."""
SMALL = 8
"""Operators of both branches that are computed where only one of them is wanted."""
_MOST_TOGETHER = 4 * MOST_NODES
_DEEPEST = 8
"""Bodies within bodies."""


def is_control_flow(node: Any) -> bool:
    return node.domain in ("", "ai.onnx") and node.op_type in _RULES


class Stays(Rejected):
    """A node isn't written out, and can be a loop or a branch at run time."""


def subgraphs(node: Any) -> list[tuple[str, Any]]:
    """(attribute, graph) of each body."""
    return [(a.name, a.g) for a in node.attribute if a.HasField("g")]


def captured_by(node: Any) -> list[str]:
    """What the bodies of a node, and those inside of these, take of the values around it."""
    found = dict[str, None]()
    for _, graph in subgraphs(node):
        own = {value.name for value in (*graph.input, *graph.initializer)}
        own.update(name for inner in graph.node for name in inner.output)
        taken = [name for inner in graph.node for name in (*inner.input, *captured_by(inner))]
        taken += [value.name for value in graph.output]
        found.update(dict.fromkeys(name for name in taken if name and name not in own))
    return list(found)


def with_captured(model: Any) -> Any:
    """The model whose control flow has what its bodies take of the values around for further operands, as the order of
    reading needs it. onnx doesn't know such nodes.
    """
    for node in model.graph.node:
        if is_control_flow(node):
            node.input.extend(name for name in captured_by(node) if name not in node.input)
    return model


def without_control_flow(model: Any, *, staying: bool = False) -> tuple[Any, dict[str, str]]:
    """The model with bodies in the places of such nodes, and why others stay, by their first result.

    Args:
        staying: whether some may stay, for which there is no reason then.

    Args:
        model: with static shapes of its inputs, where trip counts follow from shapes.
    """
    refused, kept = dict[str, str](), set[str]()
    for _ in range(_DEEPEST):
        if not any(is_control_flow(node) for node in model.graph.node):
            return model, {}
        changed, refused = _once(model, kept)
        if changed is None:
            break
        model = changed
    left = {node.output[0] for node in model.graph.node if is_control_flow(node)}
    left -= kept if staying else set()
    return model, {name: refused.get(name, f"it is more than {_DEEPEST} bodies deep") for name in left}


def _once(model: Any, kept: set[str]) -> tuple[Any, dict[str, str]]:
    """The model without those that can be written out, or None; why the others can't, as far as is known by now.

    Args:
        kept: to which those that stay are added, by their first result.
    """
    clone, refused, nodes, changed = copied(model), dict[str, str](), list[Any](), False
    taken = names_of(model) | {name for node in messages(model.graph, "NodeProto") for name in node.output}
    known = _known(model)
    for node in model.graph.node:
        if not is_control_flow(node):
            nodes.append(node)
            continue
        step = _Step(node, model, known, taken)
        try:
            _RULES[node.op_type](step)
            if len(nodes) + len(step.nodes) > len(model.graph.node) + _MOST_TOGETHER:
                raise Rejected(f"with others, written out it has more than {_MOST_TOGETHER:,} operators")
        except Rejected as reason:
            refused[node.output[0]] = str(reason)
            kept.difference_update(node.output[:1])
            kept.update(node.output[:1] if isinstance(reason, Stays) else ())
            nodes.append(node)
            continue
        changed = True
        nodes += step.nodes
        clone.graph.initializer.extend(step.initializers)
    del clone.graph.node[:]
    clone.graph.node.extend(nodes)
    return clone if changed else None, refused


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of a model's values before it runs: shapes, and numbers that conditions and sizes follow from."""

    opset: int
    shapes: dict[str, tuple[int, ...]]
    arrays: dict[str, Array]

    def learn(self, nodes: Iterable[Any]) -> None:
        """What these compute, as far as it is known."""
        for node in nodes:
            values = computed(node, self.arrays, self.shapes, self.opset)
            if values is not None:
                self.arrays.update(zip((name for name in node.output if name), values, strict=True))


def _known(model: Any) -> _Known:
    try:
        graph = inferred(model).graph
    except Exception:  # of a model that is broken, which is said by those who need all shapes
        graph = model.graph
    shapes = {name: shape for name, shape in shapes_of(graph).items() if shape is not None}
    arrays = {i.name: array_of(i, "") for i in model.graph.initializer if prod(i.dims) <= FEW}
    found = _Known(opset_of(model), shapes, arrays)
    found.learn(model.graph.node)
    return found


@dataclass(eq=False)
class _Step:
    """A node that is being written out, as nodes and initialisers."""

    node: Any
    model: Any
    known: _Known
    taken: set[str]
    nodes: list[Any] = field(default_factory=list[Any])
    initializers: list[Any] = field(default_factory=list[Any])

    def attribute(self, name: str, default: Any) -> Any:
        found = next((a for a in self.node.attribute if a.name == name), None)
        return default if found is None else onnx_module().helper.get_attribute_value(found)

    def name(self, stem: str) -> str:
        """A free one, behind that of the node's first result."""
        first = next((name for name in self.node.output if name), self.node.op_type)
        found = free_name(f"{first}/{stem}", self.taken)
        self.taken.add(found)
        return found

    def constant(self, stem: str, value: Any, dtype: type[np.generic]) -> str:
        name, array = self.name(stem), np.asarray(value, dtype)
        self.initializers.append(onnx_module().numpy_helper.from_array(array, name))
        self.known.arrays[name] = array
        return name

    def add(self, nodes: Sequence[Any]) -> None:
        """Raises Rejected where they become too many."""
        self.nodes += nodes
        if max(len(self.nodes), len(self.initializers)) > MOST_NODES:  # a body may be empty
            raise Stays(
                f"written out it has more than {MOST_NODES:,} operators; let the program call the model in a loop, "
                "with what is carried from one call to the next as inputs and outputs"
            )
        self.known.learn(nodes)

    def make(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.add([onnx_module().helper.make_node(kind, inputs, [output], **attributes)])
        return output

    def results(self, values: Iterable[str]) -> None:
        """These are the node's."""
        for value, output in zip(values, self.node.output, strict=False):
            if output:
                self.make("Identity", [value], output)

    def piece(self, value: str, axis: int, index: int) -> str:
        """Of a value what is at one place of an axis, without this axis."""
        place = self.constant("place", index, np.int64)
        return self.make("Gather", [value, place], self.name("piece"), axis=axis)

    def stacked(self, values: Sequence[str], axis: int) -> str:
        """Side by side along a new axis.

        Raises:
            Rejected: there is none.
        """
        if not values:
            raise Rejected("its body is never executed, and so one of its results is empty")
        moved = list[str]()
        for value in values:
            own = self.name("row")
            if self.known.opset < 13:
                moved.append(self.make("Unsqueeze", [value], own, axes=[axis]))
            else:
                moved.append(self.make("Unsqueeze", [value, self.constant("axis", [axis], np.int64)], own))
        return self.make("Concat", moved, self.name("rows"), axis=axis)

    def chosen(self, condition: str, these: Sequence[str], others: Sequence[str]) -> list[str]:
        """The first ones where a condition of one element holds, else the others.

        Raises:
            Rejected: they differ in shape, of which Where would make another one.
        """
        shapes = self._shapes([condition, *these, *others])
        if shapes.get(condition) != ():
            size = self.constant("scalar", [], np.int64)
            condition = self.make("Reshape", [condition, size], self.name("condition"))
        found = list[str]()
        for one, other in zip(these, others, strict=True):
            if one not in shapes or shapes[one] != shapes.get(other):
                sizes = " or ".join(str(list(shapes[n])) if n in shapes else "dynamic" for n in (one, other))
                raise Rejected(f"a condition that is computed at run time decides about a result's shape: {sizes}")
            found.append(self.make("Where", [condition, one, other], self.name("chosen")))
        return found

    def _shapes(self, names: Sequence[str]) -> Mapping[str, tuple[int, ...]]:
        """Of values that `nodes` compute, too."""
        clone = copied(self.model)
        before = [node for node in clone.graph.node if node.output[0] != self.node.output[0]]
        at = next(i for i, node in enumerate(clone.graph.node) if node.output[0] == self.node.output[0])
        del clone.graph.node[:]
        clone.graph.node.extend([*before[:at], *self.nodes])
        clone.graph.initializer.extend(self.initializers)
        del clone.graph.output[:]
        found = shapes_of(inferred(clone).graph)
        return {name: shape for name in names if (shape := found.get(name)) is not None}


class _Body:
    """A graph of a node, of which copies are made: initialisers once, everything else for each."""

    def __init__(self, step: _Step, name: str) -> None:
        """Raises Rejected."""
        self._graph, self._step = step.attribute(name, None), step
        if self._graph is None:
            raise Rejected(f"the attribute {name} is missing")
        if self._graph.sparse_initializer:
            raise Rejected("its body has sparse initialisers")
        self._shared = dict[str, str]()
        for each in self._graph.initializer:
            own = copied(each)
            own.name = self._shared[each.name] = step.name(each.name)
            step.initializers.append(own)
            if prod(own.dims) <= FEW:
                step.known.arrays[own.name] = array_of(own, "")

    def __call__(self, operands: Sequence[str]) -> list[str]:
        """Adds a copy for these operands; the names of its results.

        Raises:
            Rejected: there are others than it takes.
        """
        inputs = [value.name for value in self._graph.input]
        if len(inputs) != len(operands):
            raise Rejected(f"its body takes {len(inputs)} values and is given {len(operands)}")
        names = self._shared | dict(zip(inputs, operands, strict=True))
        inner = list(self._graph.node)
        names |= {name: self._step.name(name) for node in inner for name in node.output if name}

        def renamed(name: str) -> str:
            return names.get(name, name)  # else it is a value around the body

        self._step.add([with_names(node, renamed, {}) for node in inner])
        return [renamed(value.name) for value in self._graph.output]


def _if(step: _Step) -> None:
    condition = step.known.arrays.get(step.node.input[0])
    if condition is not None:
        step.results(_Body(step, "then_branch" if condition.any() else "else_branch")([]))
        return
    sizes = [len(graph.node) for _, graph in subgraphs(step.node)]
    if sum(sizes) > SMALL:
        raise Stays(f"its branches have {sum(sizes)} operators")
    these, others = (_Body(step, name)([]) for name in ("then_branch", "else_branch"))
    step.results(step.chosen(step.node.input[0], these, others))


def _loop(step: _Step) -> None:
    count, condition, *carried = [*step.node.input, "", ""] if len(step.node.input) < 2 else step.node.input
    trips = step.known.arrays.get(count)
    if count and trips is None:
        raise Stays(f"its trip count {count!r} is computed at run time")
    body, going = _Body(step, "body"), condition or step.constant("going", True, np.bool_)
    rows, position = [list[str]() for _ in step.node.output[len(carried) :]], 0
    while trips is None or position < int(trips.ravel()[0]):
        known = step.known.arrays.get(going)
        if condition and known is not None and not known.any():
            break
        if not condition and (known is None or not known.any()):
            raise Rejected(
                "its body says when it ends, which the standard ignores without a condition and onnxruntime heeds"
            )
        if known is None and (trips is None or rows):
            raise Stays(f"{going!r}, which says when it ends, is computed at run time")
        further, *found = body([step.constant("position", position, np.int64), going, *carried])
        if len(found) != len(carried) + len(rows):
            raise Rejected(f"its body has {1 + len(found)} results")
        following, each = found[: len(carried)], found[len(carried) :]
        if known is None:
            carried = step.chosen(going, following, carried)
            going = step.make("And", [going, further], step.name("going"))
        else:
            carried, going = following, further
        for row, value in zip(rows, each, strict=True):
            row.append(value)
        position += 1
    step.results([*carried, *(step.stacked(row, 0) for row in rows)])


def _scan(step: _Step) -> None:
    if step.known.opset < 9:
        _scan_of_batches(step)
    else:
        step.results(_scanned(step, list(step.node.input)))


def _scanned(step: _Step, operands: Sequence[str]) -> list[str]:
    """The results of Scan for these operands."""
    sequences = int(step.attribute("num_scan_inputs", 0))
    states = len(operands) - sequences
    carried, given = list(operands[:states]), operands[states:]
    rows = [list[str]() for _ in step.node.output[states:]]
    axes = step.attribute("scan_input_axes", None) or [0] * sequences
    backward = step.attribute("scan_input_directions", step.attribute("directions", None)) or [0] * sequences
    shapes = [step.known.shapes.get(name) for name in given]
    if not given or any(shape is None for shape in shapes):
        raise Rejected("the shape of what it scans is dynamic")
    lengths = {shape[axis] for shape, axis in zip(shapes, axes, strict=True) if shape is not None}
    if len(lengths) != 1:
        raise Rejected(f"what it scans has {' and '.join(map(str, sorted(lengths)))} steps")
    (length,), body = lengths, _Body(step, "body")
    for position in range(length):
        places = [length - 1 - position if back else position for back in backward]
        each = [step.piece(*of) for of in zip(given, axes, places, strict=True)]
        found = body([*carried, *each])
        if len(found) != states + len(rows):
            raise Rejected(f"its body has {len(found)} results")
        carried = found[:states]
        for row, value in zip(rows, found[states:], strict=True):
            row.append(value)
    towards = step.attribute("scan_output_directions", None) or [0] * len(rows)
    along = step.attribute("scan_output_axes", None) or [0] * len(rows)
    ordered = (row[::-1] if back else row for row, back in zip(rows, towards, strict=True))
    return [*carried, *(step.stacked(row, axis) for row, axis in zip(ordered, along, strict=True))]


def _scan_of_batches(step: _Step) -> None:
    """As opset 8 had it: axis 0 of everything is a batch, each of which is scanned on its own."""
    lengths, *operands = step.node.input
    if lengths:
        raise Rejected("sequences of different lengths are not supported")
    shapes = [step.known.shapes.get(name, ()) for name in operands]
    if not all(shapes):
        raise Rejected("the shape of what it scans is dynamic")
    found = list[list[str]]()
    for batch in range(shapes[0][0]):
        own = [step.piece(name, 0, batch) for name in operands]
        step.known.shapes.update({name: shape[1:] for name, shape in zip(own, shapes, strict=True)})
        found.append(_scanned(step, own))
    step.results([step.stacked(each, 0) for each in zip(*found, strict=True)])


_RULES: dict[str, Callable[[_Step], None]] = {"If": _if, "Loop": _loop, "Scan": _scan}
