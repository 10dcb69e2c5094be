"""Fully connected layer whose weights have a scale for each block of a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.access import Access, Pointwise, Whole
from tinycompile.dtypes import INT8, INT16, INT32, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.step_requant import StepRequant
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._rules import first_reason, not_quantized, wrong_dtype
from tinycompile.ops._typed import Meaning, Meanings, Typed


@dataclass(frozen=True)
class BlockwiseFullyConnected(Typed):
    """int8 or int16 input, int8 weights, and a factor for each block of a row of the weights (block quantisation:
    ONNX's `block_size`, MatMulNBits, AWQ).

    Operands: x (..., C_in), weights (C_out, C_in) without their zero points, factors int32 (C_out, blocks), not
    negative. Result: (..., C_out). The last block may be shorter. See docs/low_bit.md.

    Attributes:
        block: inputs that share a factor.
        rule: from sums, of each block's sum times its factor, to outputs, one entry per output. A `StepRequant` where
            sums of int8 inputs as they are and minus their zero point have 32 bits, else a `RealRequant` of sums of 63.
            Sums are of int8 inputs minus their zero point, and of int16 inputs as they are.
    """

    kind: ClassVar[str] = "blockwise_fully_connected"

    block: int
    rule: StepRequant | RealRequant

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x, w, factors = inputs
        if len(w.shape) != 2 or not x.shape or x.shape[-1] != w.shape[1]:
            raise ValueError(f"weights {w} don't fit the input {x}")
        wanted = w.shape[0], -(-w.shape[1] // self.block)
        if factors.shape != wanted:
            raise ValueError(f"factors of the shape {factors.shape}, blocks of {self.block} in {w} have {wanted}")
        return (((*x.shape[:-1], w.shape[0]), x.dtype),)

    def access(self, sig: Signature, operand: int) -> Access:
        return Pointwise() if operand == 0 else Whole()

    def meanings(self) -> Meanings:
        return {INT8: Meaning(self._integers, self._limits), INT16: Meaning(self._wide, self._wide_limits)}

    def sums(self, x: Array, weights: Array, factors: Array) -> Array:
        """int64 (..., C_out). float64 holds those of a block exactly."""
        values, total = x.astype(np.float64), np.zeros((*x.shape[:-1], len(weights)), np.int64)
        for index, begin in enumerate(range(0, x.shape[-1], self.block)):
            part = weights[:, begin : begin + self.block].astype(np.float64)
            of_block = (values[..., begin : begin + self.block] @ part.T).astype(np.int64)
            total += of_block * factors[:, index].astype(np.int64)
        return total

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, weights, factors = inputs
        sums = self.sums(x.astype(np.int64) - sig.input.zero_point, weights, factors)
        return (self.rule.apply(sums).astype(np.int8),)

    def _wide(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        return (self.rule.apply(self.sums(*inputs)).astype(np.int16),)

    def _wide_limits(self, sig: Signature) -> str | None:
        exact = None if isinstance(self.rule, RealRequant) else "a rule of sums of 32 bits"
        return first_reason((self._limits_of(sig, INT16), exact))

    def _limits(self, sig: Signature) -> str | None:
        return self._limits_of(sig, INT8)

    def _limits_of(self, sig: Signature, dtype: DType) -> str | None:
        outputs = sig.output.shape[-1]
        return first_reason(
            (
                not_quantized(sig.input, "the input", dtype),
                not_quantized(sig.output, "the output", dtype),
                wrong_dtype(sig.inputs[1], "the weight tensor", INT8),
                wrong_dtype(sig.inputs[2], "the factor of a block", INT32),
                None if self.rule.channels == outputs else f"a rule of {self.rule.channels} channels",
            )
        )

    def macs(self, sig: Signature) -> int:
        return sig.output.elements * sig.inputs[1].shape[1]
