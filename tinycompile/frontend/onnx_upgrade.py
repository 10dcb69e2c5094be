"""Models of opset 7 to 12 in the words of opset 13: each operator by the rules of its own version.

One function per operator whose form or meaning changed (onnx/docs/Changelog.md); types apart, all others mean the same
in both. `CHANGED` is complete: tests/frontend/test_onnx_upgrade.py compares it with onnx's schemas. Where the old text
leaves a question open, onnxruntime answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.onnx_rewrite import Rewriting, names_of, rewrite_nodes
from tinycompile.frontend.tflite_scope import Rejected

TARGET = 13
OLDEST = 7
"""onnxruntime promises no more."""


class Upgrade(Rewriting):
    """Of a node; `ranks` are the numbers of dimensions as far as they are known, `opset` is the model's."""

    def __init__(self, node: Any, taken: set[str], ranks: Mapping[str, int], opset: int) -> None:
        super().__init__(node, taken)
        self.ranks, self.opset = ranks, opset


Rule = Callable[[Upgrade], list[Any]]
CHANGED: dict[str, tuple[int, Rule]] = {}
"""By operator: the version from which it is as in opset 13, and the way there."""


def changed(name: str, version: int) -> Callable[[Rule], Rule]:
    """Decorator: below `version` this operator is rewritten by this function."""

    def register(rule: Rule) -> Rule:
        CHANGED[name] = version, rule
        return rule

    return register


def upgraded(model: Any, opset: int, where: str, ranks: Mapping[str, int]) -> Any:
    """The model, of opset 7 to 12, in opset 13. Tensors keep their names.

    Args:
        ranks: number of dimensions of the values for which it is known.

    Raises:
        UnsupportedError: every node that has no counterpart, at once.
    """
    clone = type(model)()
    clone.CopyFrom(model)
    taken = names_of(model)

    def step_of(node: Any) -> Upgrade | None:
        known = node.domain in ("", "ai.onnx") and node.op_type in CHANGED and opset < CHANGED[node.op_type][0]
        return Upgrade(node, taken, ranks, opset) if known else None

    rewrite_nodes(clone, step_of, lambda step: CHANGED[step.node.op_type][1](step), where, [])
    for imported in clone.opset_import:
        if imported.domain in ("", "ai.onnx"):
            imported.version = TARGET
    # Initialisers needn't be inputs from IR version 4 on; the new ones are none.
    clone.ir_version = max(clone.ir_version, 7)
    return clone


# Attributes that became operands.


def _moved(step: Upgrade, names: Mapping[str, Any]) -> list[Any]:
    """Attributes, in this order, as operands behind the first; absent ones at the end are left out."""
    inputs = [step.node.input[0]]
    for name, dtype in names.items():
        value = step.take(name, None)
        inputs.append("" if value is None else step.constant(name, value, dtype))
    while not inputs[-1]:
        inputs.pop()
    return step.again(inputs)


@changed("Clip", 11)
def _clip(step: Upgrade) -> list[Any]:
    return _moved(step, {"min": np.float32, "max": np.float32})


@changed("Pad", 11)
def _pad(step: Upgrade) -> list[Any]:
    return _moved(step, {"pads": np.int64, "value": np.float32})


@changed("Slice", 10)
def _slice(step: Upgrade) -> list[Any]:
    return _moved(step, {"starts": np.int64, "ends": np.int64, "axes": np.int64})


@changed("TopK", 10)
def _top_k(step: Upgrade) -> list[Any]:
    return step.again([step.node.input[0], step.constant("k", [step.take("k", 1)], np.int64)])


@changed("ReduceSum", 13)
@changed("Squeeze", 13)
@changed("Unsqueeze", 13)
def _axes(step: Upgrade) -> list[Any]:
    return _moved(step, {"axes": np.int64})


@changed("Split", 13)
def _split(step: Upgrade) -> list[Any]:
    return _moved(step, {"split": np.int64})


# What lost attributes.


@changed("Dropout", 12)
def _dropout(step: Upgrade) -> list[Any]:
    """Below opset 12 it always passes its operand on; `ratio` is for training. onnxruntime's mask is all zeros then,
    while from opset 12 on it is true wherever an element is kept.
    """
    step.take("ratio", None)
    (x,), (y, *mask) = step.node.input, step.node.output
    nodes = [step.make("Identity", [x], y)]
    if mask and mask[0]:
        helper, shape = onnx_module().helper, step.name("shape")
        zero = onnx_module().numpy_helper.from_array(np.zeros(1, np.float32 if step.opset < 10 else np.bool_))
        nodes.append(step.make("Shape", [x], shape))
        nodes.append(helper.make_node("ConstantOfShape", [shape], mask[:1], value=zero))
    return nodes


@changed("BatchNormalization", 9)
def _batch_normalization(step: Upgrade) -> list[Any]:
    if step.take("spatial", 1):
        return step.again(list(step.node.input))
    return _normalised_by_element(step)


def _normalised_by_element(step: Upgrade) -> list[Any]:
    """`spatial` = 0: statistics of the shape (C, ...) for each element of an example, as a factor and an offset."""
    x, gamma, beta, mean, variance = step.node.input
    if any(step.node.output[1:]):
        raise Rejected("spatial = 0 in training")
    step.take("momentum", None)
    epsilon = step.constant("epsilon", step.take("epsilon", 1e-5), np.float32)
    names = ("positive", "deviation", "factor", "moved", "offset", "scaled")
    positive, deviation, factor, moved, offset, scaled = (step.name(name) for name in names)
    return [
        step.make("Add", [variance, epsilon], positive),
        step.make("Sqrt", [positive], deviation),
        step.make("Div", [gamma, deviation], factor),
        step.make("Mul", [mean, factor], moved),
        step.make("Sub", [beta, moved], offset),
        step.make("Mul", [x, factor], scaled),
        step.make("Add", [scaled, offset], step.node.output[0]),
    ]


@changed("Scatter", 11)
def _scatter(step: Upgrade) -> list[Any]:
    return step.again(list(step.node.input), "ScatterElements")


@changed("Scan", 9)
def _scan(step: Upgrade) -> list[Any]:
    raise Rejected("control flow is not supported")


# Softmax and its like worked on a matrix: the axes in front of `axis` are its rows.


@changed("Softmax", 13)
@changed("LogSoftmax", 13)
@changed("Hardmax", 13)
def _softmax(step: Upgrade) -> list[Any]:
    axis, (x,), (y,) = int(step.take("axis", 1)), step.node.input, step.node.output
    rank = step.ranks.get(x)
    if axis == -1 or (rank is not None and rank > 0 and axis % rank == rank - 1):
        return [step.make(step.node.op_type, [x], y, axis=-1)]
    return flattened_softmax(step.node.op_type, x, y, axis, step.name, step.node.name)


def flattened_softmax(kind: str, x: str, y: str, axis: int, name: Callable[[str], str], label: str) -> list[Any]:
    """Softmax over all axes from `axis` on together, in the words of opset 13. `name` makes names of new values."""
    helper = onnx_module().helper
    shape, rows, result = name("shape"), name("rows"), name("result")
    return [
        helper.make_node("Shape", [x], [shape]),
        helper.make_node("Flatten", [x], [rows], axis=axis),
        helper.make_node(kind, [rows], [result], label, axis=-1),
        helper.make_node("Reshape", [result, shape], [y]),
    ]


# Upsample, and the first Resize: element i of the result lies at i / scale.


@changed("Upsample", 10)
def _upsample(step: Upgrade) -> list[Any]:
    scales = step.take("scales", None)
    name = step.node.input[1] if scales is None else step.constant("scales", scales, np.float32)
    return [_asymmetric(step, step.take("mode", b"nearest"), name, "floor", step.node.input[0], step.node.output[0])]


@changed("Resize", 11)
def _resize(step: Upgrade) -> list[Any]:
    """Nearest neighbours: rounded down where an axis grows, up where it shrinks (onnxruntime). One axis after another
    is the same as all at once.
    """
    (x, scales), (y,), mode = step.node.input, step.node.output, step.take("mode", b"nearest")
    if mode != b"nearest":
        return [_asymmetric(step, mode, scales, "floor", x, y)]
    one, larger, smaller = step.constant("one", 1, np.float32), step.name("larger"), step.name("smaller")
    grown = step.name("grown")
    return [
        step.make("Max", [scales, one], larger),
        step.make("Min", [scales, one], smaller),
        _asymmetric(step, mode, larger, "floor", x, grown),
        _asymmetric(step, mode, smaller, "ceil", grown, y),
    ]


def _asymmetric(step: Upgrade, mode: bytes, scales: str, rounding: str, x: str, y: str) -> Any:
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": "asymmetric"}
    if mode == b"nearest":
        attributes["nearest_mode"] = rounding
    return step.make("Resize", [x, "", scales], y, **attributes)
