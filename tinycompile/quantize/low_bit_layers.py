"""Weights of few bits for the layers of a network, each for the operands that it really gets.

Layers are fitted in the network's order, so that what a layer reads has the errors of the layers in front. "learned"
may also make up for these: the weights to be rounded are then those with which the results are nearest to the float
network's, by least squares that hold on to the float weights.

Source: Y. Li et al., "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration", ICML 2025, whose
target this is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np

from tinycompile.ir import Array
from tinycompile.quantize.coded import CodedWeights, rows_of
from tinycompile.quantize.float_graph import LINEAR, attributes_of, output_axis
from tinycompile.quantize.low_bits import (
    DAMPING,
    WEIGHT_METHODS,
    LowBitWeights,
    WeightMethod,
    column_blocks,
    fit_weights,
)
from tinycompile.quantize.windows import windows_of

WeightChoice = Literal["auto", "nearest", "awq", "learned"]
WEIGHT_CHOICES: tuple[WeightChoice, ...] = ("auto", *WEIGHT_METHODS)

_LARGEST_DEPTH = 4096
"""Products of an output from which on no moment of its operands is taken."""
_HOLD = 0.1
"""How strongly weights that make up for errors in front hold on to the float ones, as part of the operands' power."""
_EACH = 4
"""Every fourth sample is kept back, where methods are compared."""
_LEAST_POWER = 1e-300


@dataclass(frozen=True)
class LowBitPlan:
    """Which layers have how many bits.

    Attributes:
        bits: by the name of the layer's result.
        group: input channels that have one scale, where a window is a single pixel; None for all of them.
        method: one of `WEIGHT_CHOICES`.
    """

    bits: Mapping[str, int]
    group: int | None = None
    method: WeightChoice = "auto"

    def group_of(self, weights: Array, axis: int) -> int | None:
        """Input channels that have one scale in a layer; None for all of them."""
        channels, *places = (size for at, size in enumerate(weights.shape) if at != axis)
        return self.group if self.group is not None and self.group < channels and prod(places) == 1 else None


def parts_of(layer: Any) -> int:
    """A convolution's groups; 1 for other layers."""
    return int(attributes_of(layer).get("group", 1)) if layer.op_type == "Conv" else 1


def weight_axis(layer: Any, weights: Array) -> int:
    """The output channels' axis of a layer's weights."""
    return output_axis(layer) if layer.op_type in LINEAR else weights.ndim - 1


@dataclass(frozen=True, eq=False)
class _Operands:
    """Of some samples: windows of what a layer gets, of what it gets in the float network, and what it makes of these.

    Attributes:
        given: float32 (parts, depth, columns). wanted: float32 (parts, outputs, columns), without their mean, as
            `given` is.
    """

    given: Array
    wanted: Array

    @property
    def moment(self) -> Array:
        return self.given @ self.given.swapaxes(1, 2) / np.float32(self.given.shape[2])

    def compensating(self, rows: Array) -> Array:
        """float32 (parts, outputs, depth): weights that make of what is given what is wanted, or nearly."""
        moment, depth = self.moment.astype(np.float64), rows.shape[2]
        hold: Array = _HOLD * moment.trace(axis1=1, axis2=2)[:, None, None] / depth * np.eye(depth)
        cross: Array = self.wanted @ self.given.swapaxes(1, 2) / np.float32(self.given.shape[2]) + rows @ hold
        flat: Array = hold + moment + _LEAST_POWER * np.eye(depth)
        try:
            solved = np.linalg.solve(flat, cross.swapaxes(1, 2))
        except np.linalg.LinAlgError:  # all operands are zero
            return rows
        return np.swapaxes(solved, 1, 2).astype(np.float32)

    def lost(self, found: LowBitWeights) -> float:
        """Mean square of the error."""
        return float(np.square(found.weights @ self.given - self.wanted).mean(dtype=np.float64))


def coded_weights(
    layer: Any, weights: Array, given: Array, floats: Array, count: int, plan: LowBitPlan
) -> CodedWeights:
    """Codes and scales of a layer of the plan.

    Args:
        weights: in ONNX's layout.
        given: the layer's operand, behind layers that are rounded. floats: the same in the float network.
        count: of samples, which follow each other along the operands' first axis.
    """
    bits, axis = plan.bits[layer.output[0]], weight_axis(layer, weights)
    rows, group = rows_of(weights, axis, parts_of(layer)), plan.group_of(weights, axis)
    blocks = column_blocks(rows.shape[2], group)

    def coded(found: LowBitWeights, method: str) -> CodedWeights:
        return CodedWeights.of(found, weights.shape, axis, group, method)

    def operands(chosen: Callable[[Array], Array]) -> _Operands | None:
        if rows.shape[2] > _LARGEST_DEPTH:
            return None
        windows = [windows_of(layer, weights, chosen(x)) for x in (given, floats)]
        if windows[0] is None or windows[1] is None or windows[0].shape[2] == 0:  # no sample is kept back of few
            return None
        # A bias makes up for means, so that only what differs from them counts.
        here, there = (each - each.mean(axis=2, keepdims=True) for each in (windows[0], windows[1]))
        return _Operands(here, rows @ there)

    everything = operands(lambda x: x)
    if everything is None or not np.any(everything.given):
        return coded(fit_weights(rows, None, bits, blocks=blocks, method="nearest"), "nearest")
    method = plan.method
    if method != "auto":
        *_, found = _candidates(rows, everything, bits, blocks, method)
        return coded(found, method)
    kept, held = (operands(part) for part in (_samples(count, held=False), _samples(count, held=True)))
    if kept is None or held is None or count < _EACH:
        *_, found = _candidates(rows, everything, bits, blocks, "learned")
        return coded(found, "learned")
    tried = [each for name in WEIGHT_METHODS for each in _candidates(rows, kept, bits, blocks, name)]
    best = int(np.argmin([held.lost(each) for each in tried]))
    again = [each for name in WEIGHT_METHODS for each in _candidates(rows, everything, bits, blocks, name)]
    return coded(again[best], again[best].method)


def _samples(count: int, *, held: bool) -> Callable[[Array], Array]:
    """Those of a value that are kept back, or the others."""
    chosen = (np.arange(count) % _EACH == _EACH - 1) == held

    def part(value: Array) -> Array:
        rows = value.reshape(count, -1, *value.shape[1:]) if len(value) % count == 0 else value[None]
        return rows[chosen[: len(rows)]].reshape(-1, *value.shape[1:])

    return part


def _candidates(
    rows: Array, operands: _Operands, bits: int, blocks: Array, method: WeightMethod
) -> Iterator[LowBitWeights]:
    """What a method finds; "learned" as it is, and with errors in front made up for."""
    moment = operands.moment
    # Of few samples the moment isn't sure; the other methods only read its diagonal.
    damping = max(DAMPING, rows.shape[2] / operands.given.shape[2]) if method == "learned" else DAMPING
    yield fit_weights(rows, moment, bits, blocks=blocks, method=method, damping=damping)
    if method == "learned":
        yield fit_weights(operands.compensating(rows), moment, bits, blocks=blocks, method=method, damping=damping)
