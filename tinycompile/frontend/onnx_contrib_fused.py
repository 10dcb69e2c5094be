"""Float operators that onnxruntime's optimiser makes of several ("extended" level), as these several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

from tinycompile.frontend.onnx_expansion import Expansion
from tinycompile.frontend.onnx_module import onnx_module
from tinycompile.frontend.tflite_scope import Rejected

_ACTIVATIONS: Mapping[str, Sequence[str]] = {
    "Relu": (),
    "Tanh": (),
    "Sigmoid": (),
    "LeakyRelu": ("alpha",),
    "HardSigmoid": ("alpha", "beta"),
}
"""With the attributes that a fused operator's parameters are."""


def _activated(step: Expansion, x: str, kind: str, parameters: Sequence[float]) -> list[Any]:
    """The node's result: the activation of x. Raises Rejected."""
    y = step.node.output[0]
    if not kind:
        return [step.make("Identity", [x], y)]
    if kind == "Clip" and len(parameters) == 2:
        limits = [step.constant("limit", value, np.float32) for value in parameters]
        return [step.make("Clip", [x, *limits], y)]
    if kind not in _ACTIVATIONS:
        raise Rejected(f"the attribute activation = {kind!r}")
    return [step.make(kind, [x], y, **dict(zip(_ACTIVATIONS[kind], map(float, parameters), strict=False)))]


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _conv(step: Expansion, inputs: list[str]) -> list[Any]:
    """FusedConv(X, W, B, Z): activation(Conv(X, W, B) + Z)."""
    x, w, b, z = [*inputs, *[""] * (4 - len(inputs))]
    kind, parameters = _text(step.take("activation", "")), list(step.take("activation_params", []))
    total, summed = step.name("conv"), step.name("sum")
    node = step.make("Conv", [x, w, b] if b else [x, w], total)
    node.attribute.extend(step.attributes.values())
    nodes = [node]
    if z:
        nodes.append(step.make("Add", [total, z], summed))
        total = summed
    return [*nodes, *_activated(step, total, kind, parameters)]


def _gemm(step: Expansion, inputs: list[str]) -> list[Any]:
    """FusedGemm(A, B, C): activation(alpha * A' * B' + beta * C)."""
    kind = _text(step.take("activation", ""))
    given = [step.take(f"activation_{name}", None) for name in ("alpha", "beta", "gamma")]
    total = step.name("gemm")
    node = step.make("Gemm", inputs, total)
    node.attribute.extend(step.attributes.values())
    return [node, *_activated(step, total, kind, [value for value in given if value is not None])]


def _matmul(step: Expansion, inputs: list[str]) -> list[Any]:
    """FusedMatMul(A, B): alpha * A' * B', where the last two axes of either may change places."""
    if step.take("transBatchA", 0) or step.take("transBatchB", 0):
        raise Rejected("the attributes transBatchA and transBatchB are not supported")
    operands, nodes = list[str](), list[Any]()
    for name, operand in zip(("transA", "transB"), inputs, strict=True):
        if step.take(name, 0):
            rank, turned = step.rank(operand), step.name("turned")
            order = [*range(rank - 2), rank - 1, rank - 2]
            nodes.append(step.make("Transpose", [operand], turned, perm=order))
            operand = turned
        operands.append(operand)
    product, alpha = step.name("product"), step.constant("alpha", step.take("alpha", 1.0), np.float32)
    return [
        *nodes,
        step.make("MatMul", operands, product),
        step.make("Mul", [product, alpha], step.node.output[0]),
    ]


def _quick_gelu(step: Expansion, inputs: list[str]) -> list[Any]:
    """QuickGelu(X): x * sigmoid(alpha * x); SiLU with alpha = 1."""
    scaled, share = step.name("scaled"), step.name("share")
    alpha = step.constant("alpha", step.take("alpha", 1.702), np.float32)
    return [
        step.make("Mul", [inputs[0], alpha], scaled),
        step.make("Sigmoid", [scaled], share),
        step.make("Mul", [inputs[0], share], step.node.output[0]),
    ]


def _gelu(step: Expansion, inputs: list[str]) -> list[Any]:
    """Gelu(X), or BiasGelu(X, bias): x * (1 + erf(x / sqrt(2))) / 2 of the sum."""
    x, nodes = inputs[0], list[Any]()
    if len(inputs) > 1:
        x = step.name("biased")
        nodes.append(step.make("Add", inputs, x))
    scaled, error, shifted, product = (step.name(stem) for stem in ("scaled", "erf", "shifted", "product"))
    root, one, half = (step.constant(stem, n, np.float32) for stem, n in (("root", sqrt(2)), ("one", 1), ("half", 0.5)))
    return [
        *nodes,
        step.make("Div", [x, root], scaled),
        step.make("Erf", [scaled], error),
        step.make("Add", [error, one], shifted),
        step.make("Mul", [x, shifted], product),
        step.make("Mul", [product, half], step.node.output[0]),
    ]


def _fast_gelu(step: Expansion, inputs: list[str]) -> list[Any]:
    """FastGelu(X, bias): x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2 of the sum."""
    x, nodes = inputs[0], list[Any]()
    if len(inputs) > 1 and inputs[1]:
        x = step.name("biased")
        nodes.append(step.make("Add", inputs, x))
    stems = ("square", "part", "inner", "odd", "argument", "tanh", "shifted", "product")
    square, part, inner, odd, argument, tanh, shifted, product = (step.name(stem) for stem in stems)
    cubic, one, root, half = (
        step.constant(stem, n, np.float32)
        for stem, n in (("cubic", 0.044715), ("one", 1), ("root", sqrt(2 / pi)), ("half", 0.5))
    )
    return [
        *nodes,
        step.make("Mul", [x, x], square),
        step.make("Mul", [square, cubic], part),
        step.make("Add", [part, one], inner),
        step.make("Mul", [x, inner], odd),
        step.make("Mul", [odd, root], argument),
        step.make("Tanh", [argument], tanh),
        step.make("Add", [tanh, one], shifted),
        step.make("Mul", [x, shifted], product),
        step.make("Mul", [product, half], step.node.output[0]),
    ]


def _pad(step: Expansion, inputs: list[str]) -> list[Any]:
    """com.microsoft's Pad is what ONNX's became with opset 11."""
    node = onnx_module().helper.make_node("Pad", inputs, list(step.node.output), step.node.name)
    node.attribute.extend(step.attributes.values())
    return [node]


FUSED: Mapping[str, Callable[[Expansion, list[str]], list[Any]]] = {
    "BiasGelu": _gelu,
    "FastGelu": _fast_gelu,
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "Gelu": _gelu,
    "Pad": _pad,
    "QuickGelu": _quick_gelu,
}
"""By operator: its node in ONNX's words, from its operands."""
