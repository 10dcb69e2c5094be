"""The scales of a linear layer's weights: of the largest magnitude, raised where the accumulator wouldn't fit.

A bias is stored in steps of (input scale * weight scale). Where a channel's weights are nearly zero and its bias isn't
(a folded batch normalisation, pruned filters), the smallest scale for the weights would need more than 32 bits for the
bias. Raising the weights' scale until the accumulator fits costs next to nothing: its steps are then still 2^-22 of the
output's at most, for each weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.ir import Array

ACCUMULATOR_LIMIT = 2.0**30
"""The largest accumulator that may occur, bias included: half of int32, so that no kernel's own constants wrap."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""Scales are normal float32 numbers."""


@dataclass(frozen=True, eq=False)
class Operand:
    """The quantised activations that a layer reads."""

    scale: float
    zero_point: int
    bits: int = 8

    @property
    def reach(self) -> int:
        """The largest magnitude of an input without its zero point."""
        end = 1 << self.bits - 1
        return max(end - 1 - self.zero_point, self.zero_point + end)

    @property
    def reach_in_sums(self) -> int:
        """The same, where sums have 32 bits; 0 for 16-bit inputs, whose sums have 64: only biases are bounded then."""
        return self.reach if self.bits == 8 else 0


@dataclass(frozen=True)
class RaisedChannel:
    """A channel whose weights have a larger scale than their own range asks for.

    Attributes:
        layer: the name of its result in the float model.
        channel: of the output; None for all channels, where they have one scale.
        factor: how many times larger.
        error: the most that rounding weights and bias can change an output, in real numbers.
        relative_error: the same as a part of the largest output that the channel can have.
    """

    layer: str
    channel: int | None
    factor: float
    error: float
    relative_error: float

    def describe(self) -> str:
        which = "all channels" if self.channel is None else f"channel {self.channel}"
        return (
            f"{self.layer}, {which}: weight scale raised {self.factor:.3g} times for the accumulator to fit, "
            f"error at most {self.error:.3g} ({self.relative_error:.2g} of the largest output)"
        )


def weight_scales(weights: Array, axis: int, *, per_channel: bool = True) -> Array:
    """float32 (C,) or (): symmetric, the largest magnitude becomes 127; whatever it takes where all are zero."""
    others = tuple(i for i in range(weights.ndim) if i != axis) if per_channel else None
    peak = np.abs(weights).max(axis=others)
    scale = np.where(peak > 0, peak, 1.0) / 127
    return np.maximum(scale, SMALLEST).astype(np.float32)


def fitting_scales(weights: Array, axis: int, scale: Array, bias: Array, x: Operand) -> Array:
    """Scales, at least those given, with which bias and sums of every channel fit in 32 bits together.

    Args:
        scale: float32 (C,) or (), from `weight_scales`.
        bias: (C,) real numbers; zeros for none.

    Returns:
        float32, of the same shape as `scale`.
    """
    rows = np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)).astype(np.float64)
    weight_sum, bias_peak = rows.sum(axis=1), np.abs(bias.astype(np.float64))
    if scale.size == 1:
        weight_sum, bias_peak = weight_sum.max(), bias_peak.max()
    # sum of round(|w| / s) * reach + |bias| / (x s) <= limit, where rounding adds half a step per weight at most
    room = max(ACCUMULATOR_LIMIT - rows.shape[1] * x.reach_in_sums / 2 - 1, ACCUMULATOR_LIMIT / 2)
    needed = (weight_sum * x.reach_in_sums + bias_peak / x.scale) / room
    least = np.maximum(needed * (1 + 2.0**-20), 2 * SMALLEST / min(x.scale, 1.0))
    return np.maximum(scale, np.reshape(least, scale.shape)).astype(np.float32)


def raised_channels(
    layer: str, weights: Array, axis: int, before: Array, after: Array, bias: Array, x: Operand
) -> list[RaisedChannel]:
    """What `fitting_scales` changed, and what it costs at most.

    Args:
        before, after: scales, float32 (C,) or ().
    """
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    scale = np.broadcast_to(after.astype(np.float64), rows.shape[:1])[:, None]
    x_peak = x.reach * x.scale
    lost = np.abs(np.rint(rows / scale) * scale - rows).sum(axis=1) * x_peak + scale[:, 0] * x.scale / 2
    largest = np.abs(rows).sum(axis=1) * x_peak + (np.abs(bias) if bias.size == rows.shape[0] else np.abs(bias).max())
    relative = lost / np.maximum(largest, SMALLEST)
    factors = after.astype(np.float64).reshape(-1) / before.astype(np.float64).reshape(-1)
    if after.size == 1:
        worst = int(np.argmax(lost))
        found = [RaisedChannel(layer, None, float(factors[0]), float(lost[worst]), float(relative.max()))]
        return found if factors[0] > 1 else []
    return [
        RaisedChannel(layer, int(c), float(factors[c]), float(lost[c]), float(relative[c]))
        for c in np.flatnonzero(factors > 1)
    ]
