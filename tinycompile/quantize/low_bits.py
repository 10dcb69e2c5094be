"""Weights of few bits: codes and scales of one layer, by what its results lose.

`fit_weights` is all that others need: a layer's weights as rows, the second moment of what they are multiplied with
(`windows.py` has both of a layer), the bits and a method. There are three, each with scales of its own search:

* "nearest": every weight is rounded on its own; a scale clips the weights so that their squared error is least.
* "awq": the same with each weight's error times the power of its operand, as activation-aware quantisation clips.
  (Its scales of input channels change the network, `awq.py`, and not a layer on its own.)
* "learned": codes that are chosen together (`rounding.py`), scales that fit these by least squares, in turns, from
  several first scales; each output keeps the best of them.

"learned" starts from what the others find, so that it is never worse than they are on the moment that it is given. On
others it can be, with few samples: `low_bit_layers.py` lets samples decide that were kept back.

Scales of blocks are a step of the row times 1 to 15, which costs little and keeps a layer's sums in 32 bits
(docs/low_bit.md, "narrow").

Sources: J. Lin et al., "AWQ", MLSys 2024, section 3.2; E. Frantar et al., "GPTQ", ICLR 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.rounding import descended, one_by_one
from tinycompile.quantize.scales import SMALLEST

WeightMethod = Literal["nearest", "awq", "learned"]
WEIGHT_METHODS: tuple[WeightMethod, ...] = ("nearest", "awq", "learned")

WEIGHT_BITS = (2, 3, 4, 8)

_CLIPS = np.linspace(0.3, 1.1, 41, dtype=np.float32)
"""Scales that are tried, as a part of that with which no weight is clipped."""
_STARTS = (1.0, 0.85, 1.2)
"""Scales that learning starts from, as a part of those that are best for weights rounded on their own."""
_ENOUGH = 1e-3
"""Part of an error from which on it is worth another turn of codes for scales and scales for codes."""
_FACTORS, _STEP_BITS = 15, 20
"""Of blocks' scales, and the bits that a float32 number has left for what is multiplied with them."""
_LEAST_POWER, _LEAST_MEAN = 1e-300, 1e-6
"""Where weights or operands are zero."""
DAMPING = 0.01
"""Part of the operands' mean power that is added to each one's: what samples can't tell apart is rounded on its own."""


@dataclass(frozen=True, eq=False)
class LowBitWeights:
    """What stands for a layer's weights.

    Attributes:
        codes: int8 (parts, outputs, depth).
        scales: float32 (parts, outputs, blocks), positive.
        blocks: int (depth,), the number of each column's block.
        bits: of a code.
        method: that found them.
        errors: float64 (parts, outputs), mean square that each output loses, in the weights' and operands' units.
        power: float64 (parts, outputs), mean square that each output has.
    """

    codes: Array
    scales: Array
    blocks: Array
    bits: int
    method: WeightMethod
    errors: Array
    power: Array

    @property
    def weights(self) -> Array:
        """float32 (parts, outputs, depth): what the codes mean."""
        return self.codes * self.scales[..., self.blocks]

    @property
    def noise(self) -> float:
        """Power of the error as a part of the results'."""
        return float(self.errors.sum()) / max(float(self.power.sum()), _LEAST_POWER)


def levels_of(bits: int) -> tuple[int, int]:
    """The smallest and the largest code. -128 isn't used, so that 8 bits are those of all other layers."""
    return (-127, 127) if bits == 8 else (-(1 << bits - 1), (1 << bits - 1) - 1)


def column_blocks(depth: int, group: int | None) -> Array:
    """int (depth,): the block of each column: `group` of them have one scale, the last ones may be fewer; None: all."""
    return np.arange(depth) // (group or max(1, depth))


def fit_weights(
    weights: Array,
    moment: Array | None,
    bits: int,
    *,
    blocks: Array | None = None,
    method: WeightMethod = "learned",
    damping: float = DAMPING,
) -> LowBitWeights:
    """Codes and scales for the weights of a layer.

    Args:
        weights: float32 (parts, outputs, depth): a row for each output. parts: a convolution's `group`, else 1.
        moment: (parts, depth, depth), the mean of x x^T over the operands x of a row; less the mean's own where a bias
            makes up for it. None where nothing is known of them: then all count alike.
        bits: one of `WEIGHT_BITS`.
        blocks: int (depth,), from `column_blocks`: columns of one number have one scale. None: all of a row have.
        damping: part of the mean power that is added to each operand's, more where there are few samples: about
            depth / samples.
    """
    weights = weights.astype(np.float32)
    depth = weights.shape[2]
    blocks = column_blocks(depth, None) if blocks is None else blocks
    alike = np.eye(depth, dtype=np.float32)
    moment = np.broadcast_to(alike, (len(weights), depth, depth)) if moment is None else moment
    # Units in which weights and operands are near 1, as of tiny ones float32 has no squares; a power of two is exact.
    unit = np.float32(2.0 ** np.frexp(max(float(np.abs(weights).max(initial=0)), SMALLEST))[1])
    power = np.einsum("gii->gi", moment).mean(axis=1, dtype=np.float64)
    pure = (moment / max(float(power.max(initial=0)), SMALLEST)).astype(np.float32)
    mean = max(float(pure.trace(axis1=1, axis2=2).max()) / depth, _LEAST_MEAN)
    problem = _Problem(weights / unit, pure + np.float32(damping * mean) * alike, levels_of(bits), blocks)
    codes, scales = problem.solved(method)
    if scales.shape[2] > 1:
        scales = two_levels(scales)
        codes = problem.for_scales(codes, scales, together=method == "learned")
    scales = np.maximum(scales * unit, np.float32(SMALLEST))
    wanted, result = weights.astype(np.float64), codes * scales[..., blocks].astype(np.float64)
    return LowBitWeights(
        codes.astype(np.int8),
        scales,
        blocks,
        bits,
        method,
        _forms(wanted - result, moment),
        _forms(wanted, moment),
    )


def two_levels(scales: Array) -> Array:
    """float32 (parts, outputs, blocks): the nearest products of a number of the row with 1 to 15, which are exact."""
    step = scales.max(axis=2, keepdims=True) / _FACTORS
    mantissa, exponent = np.frexp(step)
    step = np.ldexp(np.rint(mantissa * 2**_STEP_BITS) / 2**_STEP_BITS, exponent).astype(np.float32)
    return (np.clip(np.rint(scales / step), 1, _FACTORS) * step).astype(np.float32)


def _forms(rows: Array, moment: Array) -> Array:
    """(parts, outputs): r^T moment r of each row."""
    return np.maximum(np.einsum("god,god->go", rows @ moment, rows), 0.0)


class _Problem:
    """Rows to be rounded.

    Attributes:
        wanted: float32 (parts, outputs, depth). moment: float32 (parts, depth, depth), positive definite.
    """

    def __init__(self, wanted: Array, moment: Array, levels: tuple[int, int], blocks: Array) -> None:
        self.wanted, self.moment, self.levels, self.blocks = wanted, moment, levels, blocks
        self.columns = [np.flatnonzero(blocks == number) for number in range(int(blocks.max(initial=0)) + 1)]

    def solved(self, method: WeightMethod) -> tuple[Array, Array]:
        """(codes, scales) as float32."""
        ones = np.ones(self.wanted.shape[::2], np.float32)
        if method == "nearest":
            return self.nearest(self.clipped(ones))
        aware = self.clipped(np.einsum("gii->gi", self.moment))
        return self.nearest(aware) if method == "awq" else self.learned([self.clipped(ones), aware])

    def nearest(self, scales: Array) -> tuple[Array, Array]:
        return self.rounded(self.wanted, scales[..., self.blocks]), scales

    def rounded(self, values: Array, steps: Array) -> Array:
        return np.minimum(np.maximum(np.rint(values / steps), self.levels[0]), self.levels[1])

    def clipped(self, power: Array) -> Array:
        """float32 (parts, outputs, blocks): scales with which weights that are rounded on their own lose least.

        Args:
            power: (parts, depth): how much the square of a column's error counts.
        """
        found = list[Array]()
        low, high = self.levels
        for columns in self.columns:
            rows, counts = self.wanted[..., columns], power[:, None, columns]
            reach = np.maximum(rows.max(axis=2) / high, rows.min(axis=2) / low)
            full = np.where(reach > 0, reach, np.float32(1 / high))
            best, least = full, np.full(full.shape, np.inf, np.float32)
            for part in _CLIPS:
                scale = (full * part).astype(np.float32)
                error = self.rounded(rows, scale[..., None]) * scale[..., None] - rows
                cost = (np.square(error) * counts).sum(axis=2)
                best, least = np.where(cost < least, scale, best), np.minimum(cost, least)
            found.append(best)
        return np.stack(found, axis=-1)

    def for_scales(self, codes: Array, scales: Array, *, together: bool) -> Array:
        """Codes for other scales."""
        steps = scales[..., self.blocks]
        if not together:
            return self.rounded(self.wanted, steps)
        near = self.rounded(codes * steps, steps) * steps
        return np.rint(descended(near, self.wanted, self.moment, self.levels, steps) / steps)

    def learned(self, starts: list[Array]) -> tuple[Array, Array]:
        """The best of each row from all starts, as they are and learned."""
        codes, scales = self.nearest(starts[0])
        least = self._cost(codes, scales)
        for others, steps in self._tries(starts):
            cost = self._cost(others, steps)
            better = (cost < least)[..., None]
            codes, scales = np.where(better, others, codes), np.where(better, steps, scales)
            least = np.minimum(cost, least)
        return codes, scales

    def _cost(self, codes: Array, scales: Array) -> Array:
        return _forms(codes * scales[..., self.blocks] - self.wanted, self.moment)

    def _tries(self, starts: list[Array]) -> Iterator[tuple[Array, Array]]:
        for scales in starts[1:]:
            yield self.nearest(scales)
        # The columns with the most power first: what they cost the others can make up for.
        order = np.argsort(-np.einsum("gii->gi", self.moment).mean(axis=0))
        sorted_ = _Problem(
            np.ascontiguousarray(self.wanted[..., order]),
            np.ascontiguousarray(self.moment[:, order][:, :, order]),
            self.levels,
            self.blocks[order],
        )
        for part in _STARTS:
            codes, scales = sorted_.in_turns(starts[-1] * np.float32(part))
            yield codes[..., np.argsort(order)], scales

    def in_turns(self, scales: Array) -> tuple[Array, Array]:
        """Codes for scales, scales for codes, and again."""
        steps, before = scales[..., self.blocks], np.inf
        values = one_by_one(self.wanted, self.moment, self.levels, steps)
        while True:
            codes = np.rint(descended(values, self.wanted, self.moment, self.levels, steps) / steps)
            scales = self._refitted(codes, scales)
            cost = float(self._cost(codes, scales).sum())
            if not cost < before * (1 - _ENOUGH):
                return codes, scales
            steps, before = scales[..., self.blocks], cost
            values = codes * steps

    def _refitted(self, codes: Array, scales: Array) -> Array:
        """Scales with which the codes lose least, each in turn; those that would not be positive stay."""
        scales = scales.copy()
        slope = (self.wanted - codes * scales[..., self.blocks]) @ self.moment
        for number, columns in enumerate(self.columns):
            part = codes[..., columns]
            moved = part @ self.moment[:, columns]  # what one more scale changes the slope by
            power = np.einsum("god,god->go", part, moved[..., columns])
            along = np.einsum("god,god->go", part, slope[..., columns])
            change = np.where(power > 0, along / np.where(power > 0, power, 1), 0).astype(np.float32)
            change = np.where(scales[..., number] + change > 0, change, 0)
            scales[..., number] += change
            slope -= change[..., None] * moved
        return scales
