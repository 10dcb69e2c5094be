"""Functions of two floats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._float import ARITHMETIC, FloatOp


def _prelu(x: Array, slope: Array) -> Array:
    return np.where(x < 0, x * slope, x)


FUNCTIONS: Mapping[str, Callable[[Any, Any], Any]] = {
    **ARITHMETIC,
    "pow": np.power,
    "prelu": _prelu,
}


@dataclass(frozen=True)
class FloatBinary(FloatOp):
    """float32 operands, constants among them, that broadcast as in NumPy: Add, Sub, Mul, Div, Min, Max, Pow, PRelu.

    Attributes:
        function: a key of `FUNCTIONS`.
    """

    kind: ClassVar[str] = "float_binary"

    function: str

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        return ((np.broadcast_shapes(inputs[0].shape, inputs[1].shape), FLOAT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (FUNCTIONS[self.function](inputs[0], inputs[1]).astype(np.float32),)
