"""Nodes with constant operands are computed when the model is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_evaluate import evaluate_node
from tinycompile.frontend.onnx_scope import Scope
from tinycompile.frontend.onnx_values import Known, KnownQuantized
from tinycompile.frontend.tflite_scope import Rejected
from tinycompile.ir import Array

_MAX_CONSTANT = 1 << 24
"""Elements of a folded constant: more is no microcontroller's."""
_MOVES = frozenset("Identity Transpose Reshape Flatten Squeeze Unsqueeze Slice Gather Split".split())
"""They move elements, and with them their scales."""


def folded(scope: Scope, constants: Mapping[str, Known]) -> None:
    """A node with constant operands is computed now.

    Raises:
        Rejected: it can't be, or the result is too large.
    """
    if any(a.type in (5, 10) for a in scope.node.attribute):  # GRAPH, GRAPHS
        raise Rejected("control flow is not supported")
    if scope.kind.startswith(("Random", "Multinomial", "Bernoulli")):
        raise Rejected("random numbers are not supported")
    operands = {name: value.array for name, value in constants.items()}
    shapes = [scope.state.model.shapes.get(name) for name in scope.node.output if name]
    sizes = [_unseen_size(scope.kind, operands) if shape is None else prod(shape) for shape in shapes]
    if max(sizes, default=0) > _MAX_CONSTANT:
        raise Rejected("the constant is too large")
    results = evaluate_node(scope.node, operands, scope.opset)
    if any(result.size > _MAX_CONSTANT for result in results):
        raise Rejected("the constant is too large")
    source = constants[scope.node.input[0]] if scope.kind in _MOVES and scope.has(0) else Known(results[0])
    for number, result in enumerate(results):
        name = [output for output in scope.node.output if output][number]
        scope.state.values[name] = _with_scales(scope, result, source, operands, number)


def _with_scales(scope: Scope, result: Array, source: Known, operands: Mapping[str, Array], number: int) -> Known:
    """A result that has the elements of a constant elsewhere, and their scales, if that is a dequantised one."""
    name = scope.node.input[0] if scope.has(0) else ""

    def moved(array: Array) -> Array:
        whole = np.broadcast_to(array, source.array.shape)
        return evaluate_node(scope.node, {**operands, name: np.ascontiguousarray(whole)}, scope.opset)[number]

    quantized = None if source.quantized is None else _moved(source.quantized, moved)
    return Known(result, quantized, None if source.blocks is None else source.blocks.moved(moved))


def _moved(source: KnownQuantized, moved: Callable[[Array], Array]) -> KnownQuantized | None:
    """None where a scale is no axis' any more."""
    values = moved(source.values)
    if source.axis is None:
        one = (1,) * values.ndim
        return KnownQuantized(values, source.scale.reshape(one), source.zero_point.reshape(one), None)
    numbers = moved(np.reshape(np.arange(source.scale.size), source.scale.shape))
    for axis in range(values.ndim):
        first = numbers[tuple(slice(None) if i == axis else slice(0, 1) for i in range(values.ndim))]
        if np.array_equal(np.broadcast_to(first, numbers.shape), numbers):
            scale, zero_point = source.scale.ravel()[first], source.zero_point.ravel()[first]
            return KnownQuantized(values, scale, zero_point, axis)
    return None


def _unseen_size(kind: str, operands: Mapping[str, Any]) -> int:
    """Elements of a result whose size is in the operands' values, where shape inference may have given up."""
    values = list(operands.values())
    if kind == "Range" and len(values) == 3 and all(v.size == 1 for v in values):
        start, limit, delta = (float(v.ravel()[0]) for v in values)
        steps = (limit - start) / delta if delta else 0.0
        return int(min(max(steps, 0.0), 1e18)) if steps == steps else 0
    if kind in ("ConstantOfShape", "Expand", "Tile", "Resize", "Upsample", "Pad", "OneHot", "EyeLike", "CenterCropPad"):
        sizes = values if kind in ("ConstantOfShape", "EyeLike") else values[1:]
        numbers = [float(n) for v in sizes if v.size <= 16 for n in np.abs(v.astype(np.float64)).ravel() if n == n]
        if kind == "OneHot":
            return values[0].size * int(min(max(numbers, default=0.0), 1e18))
        return max(v.size for v in values) * int(min(prod(max(1.0, n) for n in numbers), 1e18))
    return 0
