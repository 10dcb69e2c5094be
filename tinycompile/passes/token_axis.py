"""Where an axis of tokens is, from operator to operator, and what these are when it has another size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

import numpy as np

from tinycompile.ir import Graph, Node, Op, Signature, TensorType
from tinycompile.numerics.step_requant import StepRequant, exact_requant
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.mean import Mean
from tinycompile.ops.reshape import Reshape

Axes = frozenset[int]
"""Of a value; the scores of an attention have two."""
NONE: Axes = frozenset()


class RigidError(ValueError):
    """A node whose tokens can't be fewer; says why, in words."""


@dataclass(frozen=True, eq=False)
class Resized:
    """A node with another number of tokens.

    Attributes:
        types: of its results. axes: where these have tokens.
    """

    node: Node
    types: tuple[TensorType, ...]
    axes: tuple[Axes, ...]


def with_size(t: TensorType, axes: Iterable[int], size: int) -> TensorType:
    """A type with another size along some axes."""
    return replace(t, shape=tuple(size if i in axes else n for i, n in enumerate(t.shape)))


def resized(graph: Graph, node: Node, axes: Mapping[str, Axes], size: int) -> Resized:
    """A node whose operands have `size` elements along their axes of tokens.

    Args:
        axes: by value; others have no tokens.

    Raises:
        RigidError: that can't be.
    """
    sig = graph.signature(node)
    given = tuple(axes.get(name, NONE) for name in node.inputs)
    inputs = tuple(with_size(t, found, size) for t, found in zip(sig.inputs, given, strict=True))
    op = _resized_op(node.op, sig, given, size)
    try:
        shapes = [shape for shape, _ in op.infer(inputs)]
    except ValueError as error:
        raise RigidError(str(error)) from error
    if any(len(shape) != len(t.shape) for shape, t in zip(shapes, sig.outputs, strict=True)):
        raise RigidError("its result would have other axes")
    types = tuple(replace(t, shape=shape) for shape, t in zip(shapes, sig.outputs, strict=True))
    found = tuple(_changed(before, after, size) for before, after in zip(sig.outputs, types, strict=True))
    wrong = op.unsupported(Signature(inputs, types))
    if wrong is not None:
        raise RigidError(wrong)
    return Resized(replace(node, op=op), types, found)


def _changed(before: TensorType, after: TensorType, size: int) -> Axes:
    axes = frozenset(i for i, (n, m) in enumerate(zip(before.shape, after.shape, strict=True)) if n != m)
    if any(after.shape[i] != size for i in axes):
        raise RigidError(f"{before} would become {after}")
    return axes


def _resized_op(op: Op, sig: Signature, axes: tuple[Axes, ...], size: int) -> Op:
    """The operator, whose attributes may depend on the number of tokens."""
    if isinstance(op, Reshape):
        return Reshape(_reshaped(sig.input.shape, op.shape, axes[0], size))
    if isinstance(op, BroadcastTo):
        more = len(op.shape) - len(sig.input.shape)
        return BroadcastTo(tuple(size if i - more in axes[0] else n for i, n in enumerate(op.shape)))
    if isinstance(op, Mean) and op.rule is not None and axes[0].intersection(op.axes):
        return replace(op, rule=_rule_of_fewer(op, sig, axes[0], size))
    return op


def _reshaped(before: tuple[int, ...], after: tuple[int, ...], axes: Axes, size: int) -> tuple[int, ...]:
    """The shape `after` with fewer tokens: the axis that has as many, behind as many elements, is theirs."""
    shape = list(after)
    for axis in axes:
        outer = prod(before[:axis])
        found = [i for i, n in enumerate(after) if n == before[axis] and prod(after[:i]) == outer]
        if not found:
            raise RigidError(f"it makes {_text(after)} of {_text(before)}, where tokens aren't an axis of their own")
        shape[found[0]] = size
    return tuple(shape)


def _rule_of_fewer(op: Mean, sig: Signature, axes: Axes, size: int) -> StepRequant:
    """ONNX's rule of a mean, whose divisor is the number of elements."""
    rule = op.rule
    if not isinstance(rule, StepRequant):
        raise RigidError("its mean has an arithmetic of its own")
    counts = op.count(sig), op.count(Signature((with_size(sig.input, axes, size),), sig.outputs))
    plain, fewer = (_mean_rule(sig, count, rule) for count in counts)
    if not np.array_equal(plain.steps, rule.steps):
        raise RigidError("something is added to its mean")
    return fewer


def _mean_rule(sig: Signature, count: int, like: StepRequant) -> StepRequant:
    product = Fraction(sig.input.scale) / count
    rule = exact_requant([product], [Fraction(0)], Fraction(sig.output.scale), sig.output.zero_point, -128, 127)
    return rule.clamped(like.low, like.high)


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
