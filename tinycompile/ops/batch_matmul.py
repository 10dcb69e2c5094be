"""Products of matrices, of which both may be computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Across, Whole
from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.fixed_point import quantize_multiplier
from tinycompile.numerics.requant import Requant, TfliteRequant
from tinycompile.ops._arithmetic import real, wide
from tinycompile.ops._arithmetic.wide import WideRequant
from tinycompile.ops._elementwise import broadcast
from tinycompile.ops._rules import first_reason, invalid, not_quantized
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class BatchMatMul(Typed):
    """int8 or int16 with one scale and zero point per operand, or float32: (..., m, k) times (..., k, n), either of
    them a constant; the axes before these broadcast as in NumPy.

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

    def access(self, sig: Signature, operand: int) -> Access:
        """By matrices; by a matrix's rows the first operand alone, unless these are its columns in memory."""
        rows = len(sig.output.shape) - 3
        if rows < 0:
            return Whole()
        shape = sig.inputs[operand].shape
        same = broadcast(shape, sig.output.shape)
        if operand == 0 and not self.adj_x:
            return same
        return Across(same.broadcast, rows, shape[-2])

    def part(self, sig: Signature, sizes: Sequence[int | None]) -> Op | None:
        """None for some rows of matrices whose rows lie across the first operand: an operator reads all of these."""
        return None if self.adj_x and sizes[-1] is not None else self

    def requant(self, sig: Signature) -> Requant:
        """The rule from accumulators to outputs (`GetQuantizedConvolutionMultipler`: a product in float32)."""
        if self.rule is not None:
            return self.rule
        return TfliteRequant(*quantize_multiplier(self._real_scale(sig)), sig.output.zero_point, -128, 127)

    def wide_requant(self, sig: Signature) -> WideRequant:
        """The same of int16, whose sums have 64 bits; one channel."""
        return WideRequant.of(self._real_scale(sig), INT16.range, "reduced")

    def _real_scale(self, sig: Signature) -> Array:
        x, y = sig.inputs
        product = np.float32(x.scale) * np.float32(y.scale)
        return np.array([np.float64(product) / sig.output.scale])

    def meanings(self) -> Meanings:
        own = None if self.rule is None else "a requantisation of floats"
        integers = {INT8: Meaning(self._integers, self._limits), INT16: Meaning(self._wide, self._wide_limits)}
        return {**integers, FLOAT32: real.meaning(self._product, own)}

    def _product(self, x: Array, y: Array) -> Array:
        """float64: exact for integers, whose sums stay below 2^53."""
        x, y = x.astype(np.float64), y.astype(np.float64)
        return np.matmul(x.swapaxes(-1, -2) if self.adj_x else x, y.swapaxes(-1, -2) if self.adj_y else y)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, y = (v.astype(np.int32) - np.int32(t.zero_point) for v, t in zip(inputs, sig.inputs, strict=True))
        sums = self._product(x, y).astype(np.int64)
        return (self.requant(sig).apply(sums[..., None])[..., 0].astype(np.int8),)

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        sums = self._product(inputs[0], inputs[1]).astype(np.int64)
        return (self.wide_requant(sig).apply(sums[..., None])[..., 0],)

    def _wide_limits(self, sig: Signature) -> str | None:
        names = ("the first operand", "the second operand", "the output")
        types = zip((*sig.inputs, *sig.outputs), names, strict=True)
        own = None if self.rule is None else "a rule of its own for int16"
        return first_reason((*(wide.asymmetric(t, name) for t, name in types), own)) or invalid(
            lambda: self.wide_requant(sig)
        )

    def _limits(self, sig: Signature) -> str | None:
        return first_reason(
            (
                not_quantized(sig.inputs[0], "the first operand"),
                not_quantized(sig.inputs[1], "the second operand"),
                not_quantized(sig.output, "the output"),
                invalid(lambda: self.requant(sig)),
            )
        )

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * self.sizes(sig)[1]
