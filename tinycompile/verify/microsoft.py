"""onnxruntime's quantised operators (docs/ContribOperators.md of that project), by the float operators that they name.

Written from their documentation and without `tinycompile.frontend`, so that a misreading there shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.verify.exact_values import CannotEvaluateError, Value, dequantize, quantize, softmax

Attributes = Mapping[str, Any]
Operands = Sequence[Value | None]
ByName = Callable[[str, Attributes, Operands], Value]
"""Applies an operator of the default domain: `ExactEvaluator.by_name`."""


def evaluate(by_name: ByName, kind: str, attributes: Attributes, operands: Operands) -> Value:
    """The result of a com.microsoft operator.

    Raises:
        CannotEvaluateError: it isn't one of these.
    """
    x = operands
    match kind:
        case "QuantizeLinear":
            return quantize(x, attributes)
        case "DequantizeLinear":
            return dequantize(x, int(attributes.get("axis", 1)))
        case "QLinearAdd" | "QLinearMul":
            a, b = _real(x[0:3]), _real(x[3:6])
            return _rounded(by_name(kind.removeprefix("QLinear"), {}, [a, b]), x[6:8])
        case "QLinearSigmoid":
            return _rounded(by_name("Sigmoid", {}, [_real(x[0:3])]), x[3:5])
        case "QLinearLeakyRelu":
            return _rounded(by_name("LeakyRelu", attributes, [_real(x[0:3])]), x[3:5])
        case "QLinearSoftmax":
            inner = {"axis": attributes["axis"]} if "axis" in attributes else {}
            return _rounded(softmax(_real(x[0:3]), inner, int(attributes["opset"])), x[3:5])
        case "QLinearAveragePool" | "QLinearGlobalAveragePool":
            return _pool(by_name, kind.removeprefix("QLinear"), attributes, x)
        case "QLinearConcat":
            parts = [_real(x[i : i + 3]) for i in range(2, len(x), 3)]
            return _rounded(by_name("Concat", attributes, parts), x[0:2])
        case "QGemm":
            return _gemm(attributes, x)
        case _:
            raise CannotEvaluateError(f"com.microsoft {kind}")


def _real(operands: Operands, axis: int = 1) -> Value:
    return dequantize(operands, axis)


def _rounded(value: Value, parameters: Operands) -> Value:
    """Quantised; without a zero point its type is uint8's."""
    return quantize([value, *parameters], {})


def _pool(by_name: ByName, kind: str, attributes: Attributes, x: Operands) -> Value:
    """`channels_last` 1: the channels are the last axis of operand and result."""
    value, last = _real(x[0:3]), bool(attributes.get("channels_last", 0))
    inner = {name: given for name, given in attributes.items() if name != "channels_last"}
    if last:
        value = _with(value, lambda array: np.moveaxis(array, -1, 1))
    result = by_name(kind, inner, [value])
    if last:
        result = _with(result, lambda array: np.moveaxis(array, 1, -1))
    return _rounded(result, x[3:5])


def _with(value: Value, change: Callable[[Array], Array]) -> Value:
    return Value(change(value.plain), None if value.real is None else change(value.real), value.is_sum)


def _gemm(attributes: Attributes, x: Operands) -> Value:
    """alpha * A' * B' + C, where C has the scale alpha / beta * a_scale * b_scale, and beta is 1."""
    axis = 0 if attributes.get("transB") else 1
    a, b = _real(x[0:3]).exact, _real(x[3:6], axis).exact
    a, b = (a.T if attributes.get("transA") else a), (b.T if attributes.get("transB") else b)
    alpha = float(attributes.get("alpha", 1.0))
    total = a @ b
    if x[6] is not None and x[1] is not None and x[4] is not None:
        scale = x[1].plain.astype(np.float64) * x[4].plain.astype(np.float64)
        total = total + x[6].plain.astype(np.float64) * scale
    result = Value.summed(alpha * total)
    if len(x) > 7 and x[7] is not None:
        return _rounded(result, x[7:9])
    return Value(result.plain)
