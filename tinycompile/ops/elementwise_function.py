"""Functions of one real number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import erf
from typing import ClassVar

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._elementwise import RealUnary

_ERF = np.vectorize(erf, otypes=[np.float64])

FUNCTIONS: Mapping[str, Callable[[Array, float, float], Array]] = {
    "acos": lambda x, a, b: np.arccos(x),
    "acosh": lambda x, a, b: np.arccosh(x),
    "asin": lambda x, a, b: np.arcsin(x),
    "asinh": lambda x, a, b: np.arcsinh(x),
    "atan": lambda x, a, b: np.arctan(x),
    "atanh": lambda x, a, b: np.arctanh(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "celu": lambda x, a, b: np.maximum(x, 0) + np.minimum(0, a * (np.exp(x / a) - 1)),
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "cos": lambda x, a, b: np.cos(x),
    "cosh": lambda x, a, b: np.cosh(x),
    "erf": lambda x, a, b: _ERF(x),
    "floor": lambda x, a, b: np.floor(x),
    "hard_sigmoid": lambda x, a, b: np.maximum(0, np.minimum(1, a * x + b)),
    "mish": lambda x, a, b: x * np.tanh(np.log1p(np.exp(x))),
    "reciprocal": lambda x, a, b: 1 / x,
    "round": lambda x, a, b: np.rint(x),
    "selu": lambda x, a, b: b * np.where(x < 0, a * (np.exp(x) - 1), x),
    "sin": lambda x, a, b: np.sin(x),
    "sinh": lambda x, a, b: np.sinh(x),
    "softplus": lambda x, a, b: np.log1p(np.exp(x)),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "square": lambda x, a, b: x * x,
    "tan": lambda x, a, b: np.tan(x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
}
"""By name; the parameters `a` and `b` are ONNX's alpha and beta (gamma for Selu), the bounds of Clip.

A function that has a rule for integers is an operator of its own, such as `Tanh`.
"""


@dataclass(frozen=True)
class ElementwiseFunction(RealUnary):
    """float32: CEIL, COS, FLOOR, ROUND, SIN, SQUARE; Clip, HardSigmoid, Erf and other functions of one element.

    Attributes:
        function: a key of `FUNCTIONS`.
        a, b: its parameters.
    """

    kind: ClassVar[str] = "elementwise_function"

    function: str
    a: float = 0.0
    b: float = 0.0

    def real(self, x: Array) -> Array:
        return FUNCTIONS[self.function](x.astype(np.float64), self.a, self.b)

    def unsupported(self, sig: Signature) -> str | None:
        unknown = None if self.function in FUNCTIONS else f"the function {self.function!r} is unknown"
        return unknown or super().unsupported(sig)
