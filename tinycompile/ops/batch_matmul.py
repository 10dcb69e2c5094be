"""Products of matrices, of which both may be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.ops._rules import first_reason, invalid, not_quantized, wrong_dtype


@dataclass(frozen=True)
class BatchMatMul(Op):
    """int8 with one scale and zero point per operand, or float32: (..., m, k) times (..., k, n), either of them a
    constant; the axes before these broadcast as in NumPy.

    Attributes:
        adj_x, adj_y: whether the last two axes of the first, of the second operand are the other way round.
        rule: from accumulators to outputs, one channel; None for TFLite's, which follows from the scales.
    """

    kind: ClassVar[str] = "batch_matmul"

    adj_x: bool = False
    adj_y: bool = False
    rule: Requant | None = None

    def sizes(self, sig: Signature) -> tuple[int, int, int]:
        """m, k, n."""
        x, y = (t.shape[-2:] for t in sig.inputs)
        rows, depth = x[::-1] if self.adj_x else x
        return rows, depth, y[0] if self.adj_y else y[1]

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, y = inputs[0].shape, inputs[1].shape
        if len(x) < 2 or len(y) < 2 or 0 in (*x, *y):
            raise ValueError(f"{inputs[0]} and {inputs[1]} are no matrices")
        rows, depth, columns = self.sizes(Signature(tuple(inputs), ()))
        if depth != (y[-1] if self.adj_y else y[-2]):
            raise ValueError(f"{inputs[0]} and {inputs[1]} can't be multiplied")
        return (((*np.broadcast_shapes(x[:-2], y[:-2]), rows, columns), inputs[0].dtype),)

    def requant(self, sig: Signature) -> Requant:
        """The rule from accumulators to outputs (`GetQuantizedConvolutionMultipler`: a product in float32)."""
        if self.rule is not None:
            return self.rule
        x, y = sig.inputs
        product = np.float32(x.scale) * np.float32(y.scale)
        real = np.array([np.float64(product) / sig.output.scale])
        return TfliteRequant(*quantize_multiplier(real), sig.output.zero_point, -128, 127)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        real = sig.input.dtype == FLOAT32
        x, y = (v.astype(np.float64) - (0 if real else t.zero_point) for v, t in zip(inputs, sig.inputs, strict=True))
        x, y = x.swapaxes(-1, -2) if self.adj_x else x, y.swapaxes(-1, -2) if self.adj_y else y
        product = np.matmul(x, y)
        if real:
            return (product.astype(np.float32),)
        return (self.requant(sig).apply(product.astype(np.int64)[..., None])[..., 0].astype(np.int8),)

    def unsupported(self, sig: Signature) -> str | None:
        if sig.input.dtype == FLOAT32:
            return first_reason(wrong_dtype(t, "a tensor", FLOAT32) for t in (*sig.inputs, *sig.outputs))
        return first_reason(
            (
                wrong_dtype(sig.input, "the first operand", INT8, FLOAT32),
                not_quantized(sig.inputs[0], "the first operand"),
                not_quantized(sig.inputs[1], "the second operand"),
                not_quantized(sig.output, "the output"),
                invalid(lambda: self.requant(sig)),
            )
        )

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * self.sizes(sig)[1]
