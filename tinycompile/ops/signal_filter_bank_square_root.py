"""Square roots of channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT32, UINT32, UINT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.numerics.integer_root import rounded_root
from tinycompile.ops._signal import check_vectors, wrong_types


@dataclass(frozen=True)
class SignalFilterBankSquareRoot(Op):
    """uint64 channels (n,) to uint32: the nearest to their square roots, shifted to the right by a number of bits
    that is
    computed; 0 where that is not from 0 to 31. As in TFLM the largest result is 65535 for what fits in 32 bits.
    """

    kind: ClassVar[str] = "signal_filter_bank_square_root"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs[:1], None)
        if len(inputs) != 2 or inputs[1].elements != 1:
            raise ValueError(f"a shift {inputs[1]}")
        return ((inputs[0].shape, UINT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        bits = int(inputs[1].ravel()[0])
        roots = np.array([rounded_root(int(value)) for value in inputs[0]], np.int64)
        return ((roots >> bits if 0 <= bits < 32 else 0 * roots).astype(np.uint32),)

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the shift"), (UINT64, INT32))
