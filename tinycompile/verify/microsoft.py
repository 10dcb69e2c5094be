"""onnxruntime's quantised operators (docs/ContribOperators.md of that project), by the float operators that they name.

Written from their documentation and without `tinycompile.frontend`, so that a misreading there shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tinycompile.ir import Array
from tinycompile.verify.exact_values import CannotEvaluateError, Value, dequantize, mean, padding, quantize, softmax

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
        case "QuickGelu":
            alpha = Value(np.array(attributes.get("alpha", 1.702), np.float32))
            share = by_name("Sigmoid", {}, [by_name("Mul", {}, [x[0], alpha])])
            return by_name("Mul", {}, [x[0], share])
        case "QLinearReduceMean":
            return _rounded(Value.summed(mean(attributes, [_real(x[0:3])])), x[3:5])
        case "QLinearWhere":
            return _rounded(by_name("Where", {}, [x[0], _real(x[1:4]), _real(x[4:7])]), x[7:9])
        case "NhwcMaxPool":
            return _channels_last(x[0], lambda value: by_name("MaxPool", attributes, [value]))
        case "QLinearConv":
            inner = {name: given for name, given in attributes.items() if name != "channels_last"}

            def convolved(value: Value) -> Value:
                return by_name("QLinearConv", inner, [value, *x[1:]])

            if not attributes.get("channels_last", 0) and x[0] is not None:
                return convolved(x[0])
            return _channels_last(x[0], convolved)
        case "QLinearConcat":
            parts = [_real(x[i : i + 3]) for i in range(2, len(x), 3)]
            return _rounded(by_name("Concat", attributes, parts), x[0:2])
        case "MatMulNBits":
            return _matmul_of_bits(attributes, x)
        case "QGemm":
            return _gemm(attributes, x)
        case _:
            raise CannotEvaluateError(f"com.microsoft {kind}")


def _matmul_of_bits(attributes: Attributes, x: Operands) -> Value:
    """Weights (N, blocks, bytes), packed from the lowest bits on, with a scale and a zero point for each block."""
    a, b, scales, zeros, order, bias = [*x, *[None] * (6 - len(x))]
    if a is None or b is None or scales is None or order is not None:
        raise CannotEvaluateError("MatMulNBits without operands, or with g_idx")
    rows, inner, bits = (int(attributes.get(name, 4)) for name in ("N", "K", "bits"))
    blocks = scales.plain.size // rows

    def numbers(packed: Array) -> Array:
        octets = np.unpackbits(packed.reshape(rows, -1), axis=1, bitorder="little")
        return octets.reshape(rows, -1, bits).astype(np.int64) @ (1 << np.arange(bits))

    weights = numbers(b.plain)
    zero: Array = np.full((rows, blocks), 1 << (bits - 1))
    if zeros is not None:
        packed = zeros.plain.dtype == np.uint8
        zero = numbers(zeros.plain)[:, :blocks] if packed else zeros.plain.reshape(rows, blocks).astype(np.float64)
    size = weights.shape[1] // blocks
    steps = scales.plain.reshape(rows, blocks).astype(np.float64)
    real = ((weights - np.repeat(zero, size, axis=1)) * np.repeat(steps, size, axis=1))[:, :inner]
    product = a.exact @ real.T
    return Value.summed(product if bias is None else product + bias.exact)


def _real(operands: Operands, axis: int = 1) -> Value:
    return dequantize(operands, axis)


def _rounded(value: Value, parameters: Operands) -> Value:
    """Quantised; without a zero point its type is uint8's."""
    return quantize([value, *parameters], {})


def _pool(by_name: ByName, kind: str, attributes: Attributes, x: Operands) -> Value:
    """`channels_last` 1: the channels are the last axis of operand and result."""
    inner = {name: given for name, given in attributes.items() if name != "channels_last"}

    def pooled(value: Value) -> Value:
        return by_name(kind, _padded_by_numbers(inner, value.plain.shape[2:]), [value])

    value = _real(x[0:3])
    result = _channels_last(value, pooled) if attributes.get("channels_last", 0) else pooled(value)
    return _rounded(result, x[3:5])


def _padded_by_numbers(attributes: Attributes, sizes: Sequence[int]) -> Attributes:
    """In place of `auto_pad`: beside it onnx's evaluator takes neither `ceil_mode` nor strides beyond the kernel."""
    auto = attributes.get("auto_pad", b"NOTSET")
    if auto == b"NOTSET":
        return attributes
    kernel, ones = list(attributes["kernel_shape"]), [1] * len(sizes)
    pads = padding(attributes, sizes, kernel, list(attributes.get("strides") or ones), ones)
    # The number of windows of SAME doesn't depend on ceil_mode.
    left_out = ("auto_pad",) if auto == b"VALID" else ("auto_pad", "ceil_mode")
    kept = {name: given for name, given in attributes.items() if name not in left_out}
    return {**kept, "pads": [begin for begin, _ in pads] + [end for _, end in pads]}


def _channels_last(value: Value | None, between: Callable[[Value], Value]) -> Value:
    """What a function makes of an image with channels second."""
    if value is None:
        raise CannotEvaluateError("an operand is missing")
    result = between(_with(value, lambda array: np.moveaxis(array, -1, 1)))
    return _with(result, lambda array: np.moveaxis(array, 1, -1))


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
