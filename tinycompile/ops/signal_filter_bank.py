"""Triangular filters over the energies of a spectrum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tinycompile.dtypes import INT16, UINT32, UINT64, DType
from tinycompile.ir import Array, Op, Signature, TensorType
from tinycompile.ops._signal import check_vectors, wrong_types


@dataclass(frozen=True)
class SignalFilterBank(Op):
    """uint32 energies to uint64 channels. Each energy counts for two channels beside each other: by its weight for one,
    and by its unweight for the next.

    Operands: energies (n,), weights and unweights of all channels, and for each channel, with one in front of the
    first, whose weights don't count: its first energy, its first weight, how many it has. All but the energies are
    constants.

    Attributes:
        channels: that are kept.
    """

    kind: ClassVar[str] = "signal_filter_bank"

    channels: int

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        check_vectors(inputs, *[None] * 6)
        if self.channels < 1 or min(t.shape[0] for t in inputs[3:]) <= self.channels:
            raise ValueError(f"{self.channels} channels by {', '.join(map(str, inputs[3:]))}")
        if inputs[1].shape != inputs[2].shape:
            raise ValueError(f"weights {inputs[1]} and unweights {inputs[2]}")
        return (((self.channels,), UINT64),)

    def evaluate(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        x, found, kept = inputs[0].astype(object), list[int](), 0
        for places, weights, unweights in self.filters(inputs[1:]):
            energies = x[places]
            found.append(kept + sum(energies * weights.astype(object)))
            kept = sum(energies * unweights.astype(object))
        return (np.array([total % (1 << 64) for total in found[1:]], np.uint64),)

    def filters(self, constants: Sequence[Array]) -> list[tuple[Array, Array, Array]]:
        """For each channel, with one in front of the first, the energies, weights and unweights that it has."""
        weights, unweights, firsts, first_weights, widths = constants
        found = list[tuple[Array, Array, Array]]()
        for i in range(self.channels + 1):
            there = np.arange(max(int(widths[i]), 0))
            own = there + int(first_weights[i])
            found.append((there + int(firsts[i]), weights[own], unweights[own]))
        return found

    def unsupported(self, sig: Signature) -> str | None:
        roles = ("the input", "the weights", "the unweights", "the first energies", "the first weights", "the widths")
        return wrong_types(sig.inputs, roles, (UINT32, *[INT16] * 5))
