"""Per-channel amplitude normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, UINT32, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import check_range, check_vectors, wrong_types

SNR_BITS = 12
OUTPUT_BITS = 6
"""Bits after the binary point of a ratio, and of the result."""

TABLE = 125
"""Elements of a table of gains: three for 0, 1 and 2, then a polynomial for each power of two."""


@dataclass(frozen=True)
class SignalPcan(Op):
    """uint32: channels times a gain that falls with the estimate of their noise, then compressed: x * x / 4 below 2,
    x - 1
    from there on.

    Operands: channels (n,), estimates of their noise (n,), a constant table of gains, int16.

    Attributes:
        shift: by which a channel times its gain is shifted to the right.
    """

    kind: ClassVar[str] = "signal_pcan"

    shift: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, None, inputs[0].shape[0] if inputs[0].shape else None, None)
        if inputs[2].shape[0] < TABLE:
            raise ValueError(f"a table {inputs[2]} of gains, which has {TABLE}")
        check_range(self.shift, "the shift", 0, 63)
        return ((inputs[0].shape, UINT32),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        gains = _gains(inputs[1], inputs[2].astype(np.int64)) & 0xFFFFFFFF
        products = (int(x) * int(gain) >> self.shift for x, gain in zip(inputs[0], gains, strict=True))
        return (_compressed(np.array([product & 0xFFFFFFFF for product in products], np.int64)).astype(np.uint32),)

    def unsupported(self, sig: Signature) -> str | None:
        return wrong_types(sig.inputs, ("the input", "the noise", "the table of gains"), (UINT32, UINT32, INT16))


def _gains(noise: Array, table: Array) -> Array:
    """int16 each, in int64."""
    found = list[int]()
    for value in map(int, noise):
        if value <= 2:
            found.append(int(table[value]))
            continue
        bits = value.bit_length()
        start, slope, curve = map(int, table[4 * bits - 6 : 4 * bits - 3])
        at = (value << 11 - bits if bits < 11 else value >> bits - 11) & 0x3FF
        found.append((((((curve * at) >> 5) + (slope << 5)) * at + (1 << 14)) >> 15) + start)
    return np.array(found, np.int64).astype(np.int16).astype(np.int64)


def _compressed(ratio: Array) -> Array:
    below = (ratio * ratio) >> 2 + 2 * SNR_BITS - OUTPUT_BITS
    return np.where(ratio < 2 << SNR_BITS, below, (ratio >> SNR_BITS - OUTPUT_BITS) - (1 << OUTPUT_BITS))
