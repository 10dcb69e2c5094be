"""New weights for old code: a model that is compiled to the C of an older build, or an error that names what differs.

The old model is compiled again, as far as its plan. Then its kernels, schedule and memory map are taken over, and only
the constants are made anew, each with the requantisation that the old code has. So the code can't be another one, and
what can't be done is known layer by layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, cast

import numpy as np

from tinycompile.errors import IncompatibleError
from tinycompile.ir import Array, Graph, Node, Op, Site, TensorType
from tinycompile.kernels import copying_kernels_of, kernels_of
from tinycompile.kernels.base import Kernel
from tinycompile.kernels.cover import Fused, fused, parts_of
from tinycompile.kernels.linear_layer import LinearLayer
from tinycompile.numerics.latitude import Latitude, RequantShape
from tinycompile.numerics.requant_solver import largest_shift
from tinycompile.ops.conv2d import Conv2D
from tinycompile.ops.depthwise_conv2d import DepthwiseConv2D
from tinycompile.ops.fully_connected import FullyConnected
from tinycompile.planner import Planned
from tinycompile.targets import Core

_LISTED = 8
"""Differences that a message lists."""


def adopted(old: Graph, new: Graph) -> Graph:
    """The new model under the names of the old one: its constants, and what follows from them.

    Raises:
        IncompatibleError: another operator, attribute, shape, type, or another quantisation of a tensor that isn't
            constant; lists them.
    """
    names, problems = _paired(old, new)
    problems += _different_types(old, new, names)
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        scales = any("scale" in problem for problem in problems)
        raise IncompatibleError(
            "the model differs from the old one in more than its weights",
            where=new.name,
            why="; ".join([*problems[:_LISTED], *more]),
            hint="give the float .onnx model and --calib: the scales of the old build are kept then"
            if scales
            else "export it exactly as the old one",
        )
    biases = _biases(old, new, names)
    nodes = tuple(
        replace(a, op=b.op, inputs=(*a.inputs[:2], *filter(None, [biases[a.name]])) if a.name in biases else a.inputs)
        for a, b in zip(old.nodes, new.nodes, strict=True)
    )
    constants = [name for name in names if names[name] in new.constants]
    return replace(
        old,
        nodes=nodes,
        types=dict(old.types) | {name: new.types[names[name]] for name in constants},
        constants={name: new.constants[names[name]] for name in constants},
        sources={name: new.sources[names[name]] for name in old.sources if names.get(name) in new.sources},
    )


LINEAR = (Conv2D, DepthwiseConv2D, FullyConnected)
"""Operators whose last operand may be a bias; one that is zero is none."""


def _biases(old: Graph, new: Graph, names: dict[str, str]) -> dict[str, str]:
    """The old graph's name for each layer's new bias, empty where there is none; enters them in `names`.

    A bias that the old model shared, with another layer or with an output, may have become two.
    """
    biases = dict[str, str]()
    for a, b in zip(old.nodes, new.nodes, strict=True):
        if not isinstance(a.op, LINEAR):
            continue
        biases[a.name] = ""
        for bias in b.inputs[2:]:
            reusable = [name for name in a.inputs[2:] if _is_free(new, names.get(name), bias)]
            biases[a.name] = reusable[0] if reusable else f"{a.name}/bias of the new weights"
            names[biases[a.name]] = bias
    return biases


def _is_free(graph: Graph, taken: str | None, wanted: str) -> bool:
    return taken in (None, wanted) or _same_constant(graph, str(taken), wanted)


def _paired(old: Graph, new: Graph) -> tuple[dict[str, str], list[str]]:
    """(new name of each old value, what differs in the structure)."""
    counts = [(len(g.inputs), len(g.outputs), len(g.nodes)) for g in (old, new)]
    if counts[0] != counts[1]:
        texts = ["{} inputs, {} outputs and {} operators".format(*count) for count in counts]
        return {}, [f"{texts[0]} became {texts[1]}"]
    names, problems = dict(zip(old.inputs, new.inputs, strict=True)), list[str]()
    for a, b in zip(old.nodes, new.nodes, strict=True):
        problems += _different_nodes(a, b)
        operands = [node.inputs[:2] if isinstance(node.op, LINEAR) else node.inputs for node in (a, b)]
        if len(operands[0]) != len(operands[1]) or len(a.outputs) != len(b.outputs):
            problems.append(f"{a.op.kind} {a.name!r} has another number of operands or results")
            continue
        for mine, theirs in zip((*operands[0], *a.outputs), (*operands[1], *b.outputs), strict=True):
            known = names.setdefault(mine, theirs)
            if (mine in old.constants) != (theirs in new.constants):
                problems.append(f"{mine!r} is constant in one of the models only")
            elif known != theirs and not _same_constant(new, known, theirs):
                problems.append(f"{a.op.kind} {a.name!r} reads another tensor")
    for mine, theirs in zip(old.outputs, new.outputs, strict=True):
        known = names.setdefault(mine, theirs)  # known but for a constant, which no layer need read
        if (mine in old.constants) != (theirs in new.constants):
            problems.append(f"output {mine!r} is constant in one of the models only")
        elif known != theirs and not _same_constant(new, known, theirs):
            problems.append(f"output {mine!r} is another tensor")
    return names, problems


def _same_constant(graph: Graph, a: str, b: str) -> bool:
    return a in graph.constants and b in graph.constants and np.array_equal(graph.constants[a], graph.constants[b])


def _different_nodes(a: Node, b: Node) -> Iterator[str]:
    if a.op.kind != b.op.kind:
        yield f"{a.op.kind} {a.name!r} became {b.op.kind} {b.name!r}"
        return
    for each in fields(a.op):  # pyright: ignore[reportArgumentType] - operators are dataclasses
        before, after = getattr(a.op, each.name), getattr(b.op, each.name)
        if each.name not in _OF_WEIGHTS and not _same(before, after):
            yield f"{a.op.kind} {a.name!r}: {each.name} {before} became {after}"


_OF_WEIGHTS = ("rule",)
"""Attributes that follow from weights and scales."""


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        table, other = cast(Array, a), cast(Array, b)  # data, which may change
        return table.shape == other.shape and table.dtype == other.dtype
    if isinstance(a, TensorType) and isinstance(b, TensorType):
        return not _difference(a, b, constant=False)
    return bool(a == b)


def _different_types(old: Graph, new: Graph, names: Mapping[str, str]) -> list[str]:
    found = list[str]()
    for mine, theirs in names.items():
        inner = mine in old.constants and mine not in old.outputs  # of an output, the caller knows the scale
        text = _difference(old.types[mine], new.types[theirs], constant=inner)
        if text:
            found.append(f"{'constant' if mine in old.constants else 'tensor'} {theirs!r}: {text}")
    return found


def _difference(a: TensorType, b: TensorType, *, constant: bool) -> str:
    if (a.shape, a.dtype) != (b.shape, b.dtype):
        return f"{a} became {b}"
    if (a.quant is None) != (b.quant is None):
        return "only one of them is quantised"
    if constant or a.quant is None or b.quant is None:
        return ""
    if a.quant.scale.shape != b.quant.scale.shape or not a.quant.is_per_tensor:
        return "" if np.array_equal(a.quant.scale, b.quant.scale) else "other scales per channel"
    parts = [f"scale {np.float32(a.scale)!s} became {np.float32(b.scale)!s}"] if a.scale != b.scale else []
    parts += [f"zero point {a.zero_point} became {b.zero_point}"] if a.zero_point != b.zero_point else []
    return ", ".join(parts)


def with_weights(planned: Planned, graph: Graph, core: Core) -> Planned:
    """A plan with the weights of another graph, and the code as it is.

    Args:
        graph: that the plan would be for, with the same names.

    Raises:
        IncompatibleError: layers whose new weights don't fit the code; lists them.
    """
    updated = _updated(planned.graph, graph)
    firings = {firing.step: firing for stage in planned.stages for firing in stage.firings}
    kernels, problems = list[Kernel](), list[str]()
    for step, kernel in enumerate(planned.kernels):
        site = updated.site(updated.nodes[step])
        if step in firings:
            site = _part(firings[step].site, planned.graph.nodes[step], updated)
        found = _like(kernel, site, core) if kernel.constants else kernel
        kernels.append(found or kernel)
        if found is None:
            problems.append(f"{site.node.op.kind} {site.node.name!r}: {_reason(kernel, site)}")
    if problems:
        more = [f"and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
        raise IncompatibleError(
            f"{len(problems)} of {len(kernels)} layers don't fit the old code",
            where=graph.name,
            why="; ".join([*problems[:_LISTED], *more]),
            hint="train on from the old weights: the old code has room for scales and sums that are a little larger",
        )
    return replace(planned, graph=updated, kernels=tuple(kernels))


def _updated(planned: Graph, graph: Graph) -> Graph:
    """A plan's graph, which may be in another order and have parts of operators, with another graph's constants."""
    others = {node.name: node for node in graph.nodes}

    def updated(node: Node) -> Node:
        if isinstance(node.op, Fused):
            return fused([updated(part) for part in node.op.nodes], {**planned.types, **node.op.inner})
        other = others.get(node.name)
        if other is None or type(other.op) is not type(node.op):
            return node
        return replace(node, op=other.op, inputs=other.inputs)

    nodes = tuple(map(updated, planned.nodes))
    constants = {name for node in nodes for name in node.inputs if name in graph.constants}
    initial = {state.name: state.initial for state in graph.states}
    return replace(
        planned,
        nodes=nodes,
        types=dict(planned.types) | {name: graph.types[name] for name in constants},
        constants={name: graph.constants[name] for name in constants},
        sources={name: source for name, source in graph.sources.items() if name in planned.types},
        states=tuple(replace(state, initial=initial.get(state.name, state.initial)) for state in planned.states),
    )


def _part(site: Site, whole: Node, graph: Graph) -> Site:
    """The part of a layer that a stage computes, with other weights."""
    node = next(each for each in graph.nodes if each.name == whole.name)
    op = node.op if site.node.op is whole.op else _with_rule(site.node.op, node.op)
    constants = tuple(graph.constants.get(name) for name in node.inputs)
    types = tuple(
        site.sig.inputs[operand] if constant is None else graph.types[name]
        for operand, (name, constant) in enumerate(zip(node.inputs, constants, strict=True))
    )
    part = replace(site.node, op=op, inputs=node.inputs)
    return replace(site, node=part, sig=replace(site.sig, inputs=types), constants=constants)


def _with_rule(op: Op, other: Op) -> Op:
    changed: dict[str, Any] = {name: getattr(other, name) for name in _OF_WEIGHTS if hasattr(op, name)}
    return replace(cast(Any, op), **changed)  # every operator is a dataclass, though `Op` is none


def _like(kernel: Kernel, site: Site, core: Core) -> Kernel | None:
    """The kernel with the same code for other weights."""
    latitude = None if kernel.requant is None else Latitude(kernel.requant)
    site = replace(site, latitude=latitude)
    offered = kernels_of(site, core)
    if kernel.copies:
        offered = [copying for places in (1, 2) for copying in copying_kernels_of(site, core, offered, places)]
    for found in offered:
        same = found.variant == kernel.variant and found.function == kernel.function
        if same and _layout(found) == _layout(kernel):
            return replace(kernel, constants=found.constants, notes={**kernel.notes, **found.notes})
    return None


def _layout(kernel: Kernel) -> Sequence[object]:
    """What of a kernel's constants is in the code."""
    return kernel.scratch_bytes, [(c.suffix, c.ctype, *c.layout) for c in kernel.constants]


def _reason(kernel: Kernel, site: Site) -> str:
    """Why there is no kernel with the same code."""
    shape = kernel.requant
    if shape is None:
        return f"the old code is {kernel.variant}, which the new weights don't have or have with other constants"
    linear = next(part for part in parts_of(site) if isinstance(part.node.op, LINEAR))
    return _requant_reason(LinearLayer.of(replace(linear, latitude=None)), shape) or (
        f"no {shape.form} requantisation with the old code's shift is exact"
    )


def _requant_reason(layer: LinearLayer, shape: RequantShape) -> str:
    if not layer.fits(shape.pre, shape.factor):
        low, high = layer.acc_range
        room = (2**31 - 1) // (shape.factor << shape.pre)
        return f"sums reach {int(max(-low.min(), high.max())):,}, the old code has room for {room:,}"
    largest = largest_shift(layer.rule, *layer.acc_range, shape.pre, shape.factor)
    if shape.shift is not None and largest < shape.shift:
        channel = int(np.argmax(layer.rule.real_scale()))
        return f"channel {channel}'s scale leaves room for a shift of {largest} bits, the old code's is {shape.shift}"
    return ""
