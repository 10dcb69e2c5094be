"""com.microsoft's normalisations of rows, alone or of a sum, in ONNX's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_schema import FOUNDLINGS
from tinycompile.frontend.tflite_scope import Rejected

_LAYER, _ROOT_MEAN_SQUARE = 17, 23
"""The opsets from which ONNX has LayerNormalization and RMSNormalization."""
_AXES_ARE_OPERANDS = 18
"""The opset from which ReduceMean takes its axes as an operand."""
_SUM = 3
"""The result that is the sum."""


def _skip(step: Expansion, inputs: list[str]) -> list[Any]:
    """SkipLayerNormalization(input, skip, gamma, beta, bias): of input + skip + bias."""
    x, skip, gamma, beta, bias = [*inputs, *[""] * (5 - len(inputs))]
    total, nodes = _sum(step, [x, skip, *([bias] if bias else [])])
    return [*nodes, *rows_normalised(step, total, gamma, beta, centred=True)]


def _skip_simplified(step: Expansion, inputs: list[str]) -> list[Any]:
    """SkipSimplifiedLayerNormalization(input, skip, gamma, bias)."""
    x, skip, gamma, bias = [*inputs, *[""] * (4 - len(inputs))]
    total, nodes = _sum(step, [x, skip, *([bias] if bias else [])])
    return [*nodes, *rows_normalised(step, total, gamma, "", centred=False)]


def _layer(step: Expansion, inputs: list[str]) -> list[Any]:
    """LayerNormalization(X, Scale, B), which onnxruntime has in ONNX's own domain before opset 17."""
    _check_rows(step, inputs)
    x, gamma, beta = [*inputs, *[""] * (3 - len(inputs))]
    return rows_normalised(step, x, gamma, beta, centred=True)


def _simplified(step: Expansion, inputs: list[str]) -> list[Any]:
    """SimplifiedLayerNormalization(X, scale), which onnxruntime has in ONNX's own domain: RMSNormalization."""
    _check_rows(step, inputs)
    return rows_normalised(step, inputs[0], inputs[1], "", centred=False)


def _check_rows(step: Expansion, inputs: list[str]) -> None:
    """Raises Rejected: it isn't rows that are normalised, or a second result is asked for."""
    if step.take("axis", -1) not in (-1, step.rank(inputs[0]) - 1):
        raise Rejected("the attribute axis, supported is the last one")
    step.take("stash_type", 1)
    if any(step.node.output[1:]):
        raise Rejected("the results mean and inv_std_var are not supported")


def _sum(step: Expansion, parts: list[str]) -> tuple[str, list[Any]]:
    """(their sum, which may be a result of the node, its nodes).

    Raises Rejected for the other results, the mean and the reciprocal deviation.
    """
    if any(step.node.output[1:_SUM]):
        raise Rejected("the results mean and inv_std_var are not supported")
    outputs = list(step.node.output)
    given = outputs[_SUM] if len(outputs) > _SUM and outputs[_SUM] else ""
    total, nodes = parts[0], list[Any]()
    for number, part in enumerate(parts[1:], 2):
        name = given if given and number == len(parts) else step.name("sum")
        nodes.append(step.make("Add", [total, part], name))
        total = name
    return total, nodes


def rows_normalised(step: Expansion, x: str, gamma: str, beta: str, *, centred: bool) -> list[Any]:
    """The node's first result."""
    y, epsilon = step.node.output[0], float(step.take("epsilon", 1e-5 if step.node.op_type in FOUNDLINGS else 1e-12))
    if step.opset >= (_LAYER if centred else _ROOT_MEAN_SQUARE):
        kind = "LayerNormalization" if centred else "RMSNormalization"
        return [step.make(kind, [x, gamma, *([beta] if beta else [])], y, axis=-1, epsilon=epsilon)]
    nodes, distance = list[Any](), x
    if centred:
        mean, distance = step.name("mean"), step.name("distance")
        nodes += [_mean(step, x, mean), step.make("Sub", [x, mean], distance)]
    names = {stem: step.name(stem) for stem in ("squares", "power", "raised", "deviation", "normalised", "scaled")}
    small = step.constant("epsilon", epsilon, np.float32)
    scaled = names["scaled"] if beta else y
    nodes += [
        step.make("Mul", [distance, distance], names["squares"]),
        _mean(step, names["squares"], names["power"]),
        step.make("Add", [names["power"], small], names["raised"]),
        step.make("Sqrt", [names["raised"]], names["deviation"]),
        step.make("Div", [distance, names["deviation"]], names["normalised"]),
        step.make("Mul", [names["normalised"], gamma], scaled),
    ]
    return [*nodes, step.make("Add", [scaled, beta], y)] if beta else nodes


def _mean(step: Expansion, x: str, result: str) -> Any:
    if step.opset >= _AXES_ARE_OPERANDS:
        return step.make("ReduceMean", [x, step.constant("axes", [-1], np.int64)], result)
    return step.make("ReduceMean", [x], result, axes=[-1])


NORMS: Mapping[str, Callable[[Expansion, list[str]], list[Any]]] = {
    "LayerNormalization": _layer,
    "SimplifiedLayerNormalization": _simplified,
    "SkipLayerNormalization": _skip,
    "SkipSimplifiedLayerNormalization": _skip_simplified,
}
"""By operator: its nodes in ONNX's words, from its operands."""
