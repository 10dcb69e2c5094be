"""Functions of one float."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import erf
from typing import Any, ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import FloatOp

_ERF = np.vectorize(erf, otypes=[np.float64])


def _sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: Mapping[str, Callable[[Array, float, float], Array]] = {
    "abs": lambda x, a, b: np.abs(x),
    "ceil": lambda x, a, b: np.ceil(x),
    "celu": lambda x, a, b: np.maximum(x, 0) + np.minimum(0, a * (np.exp(x / a) - 1)),
    "clip": lambda x, a, b: np.minimum(np.maximum(x, a), b),
    "cos": lambda x, a, b: np.cos(x),
    "elu": lambda x, a, b: np.where(x < 0, a * (np.exp(x) - 1), x),
    "erf": lambda x, a, b: _ERF(x),
    "exp": lambda x, a, b: np.exp(x),
    "floor": lambda x, a, b: np.floor(x),
    "gelu": lambda x, a, b: 0.5 * x * (1 + _ERF(x / np.sqrt(2))),
    "gelu_tanh": lambda x, a, b: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "hard_sigmoid": lambda x, a, b: np.maximum(0, np.minimum(1, a * x + b)),
    "hard_swish": lambda x, a, b: x * np.maximum(0, np.minimum(1, x / 6 + 0.5)),
    "leaky_relu": lambda x, a, b: np.where(x < 0, a * x, x),
    "log": lambda x, a, b: np.log(x),
    "mish": lambda x, a, b: x * np.tanh(np.log1p(np.exp(x))),
    "neg": lambda x, a, b: -x,
    "reciprocal": lambda x, a, b: 1 / x,
    "relu": lambda x, a, b: np.maximum(x, 0),
    "round": lambda x, a, b: np.rint(x),
    "selu": lambda x, a, b: b * np.where(x < 0, a * (np.exp(x) - 1), x),
    "sigmoid": lambda x, a, b: _sigmoid(x),
    "sign": lambda x, a, b: np.sign(x),
    "sin": lambda x, a, b: np.sin(x),
    "softplus": lambda x, a, b: np.log1p(np.exp(x)),
    "softsign": lambda x, a, b: x / (1 + np.abs(x)),
    "sqrt": lambda x, a, b: np.sqrt(x),
    "tanh": lambda x, a, b: np.tanh(x),
    "thresholded_relu": lambda x, a, b: np.where(x > a, x, 0),
}
"""By name; the parameters `a` and `b` are ONNX's alpha and beta (gamma for Selu), the bounds of Clip."""


@dataclass(frozen=True)
class FloatUnary(FloatOp):
    """float32: Relu, Clip, LeakyRelu, HardSwish, HardSigmoid, Sigmoid, Tanh, Gelu, Erf and other functions of
    one element.

    Attributes:
        function: a key of `FUNCTIONS`.
        a, b: its parameters.
    """

    kind: ClassVar[str] = "float_unary"

    function: str
    a: float = 0.0
    b: float = 0.0

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((inputs[0].shape, FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            result = FUNCTIONS[self.function](inputs[0].astype(np.float64), self.a, self.b)
        return (np.asarray(result).astype(np.float32),)
