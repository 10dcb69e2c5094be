"""The arithmetic of integer LSTMs: LiteRT's, in gemmlowp's fixed point, and TFLM's, by the table of 16-bit layers.

A gate is int16 with 12 fractional bits in front of its function and 15 behind it; the cell has a power of two as its
scale. Sources: LiteRT `kernels/lstm_eval.cc` (`LstmStepInteger8x8_16`) and `unidirectional_sequence_lstm.cc`
(`PopulateQuantizedLstmParams8x8_16`); TFLM `kernels/lstm_eval.h` and `lstm_eval_common.cc`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Array, TensorType
from tinycompile.numerics import fixed_point_int16
from tinycompile.numerics.fixed_point import (
    MAX_SHIFT,
    inverse_square_root,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    rounding_divide_by_pot,
    wrap_int32,
)
from tinycompile.ops._arithmetic import wide
from tinycompile.ops._arithmetic.wide import TableInput, WideRequant

GATE_SCALE = 2.0**-12
"""Of a gate in front of its function."""

_GATE_BITS = 12
"""Fractional bits of `GATE_SCALE`."""

NORMAL_BITS = 10
"""Fractional bits of a gate with mean 0 and variance 1."""

LOW, HIGH = INT16.range


@dataclass(frozen=True, eq=False)
class Factor:
    """multiplier * 2^(shift - 31), an entry per channel."""

    multiplier: Array
    shift: Array

    @staticmethod
    def of(real: Array | float) -> Factor:
        """Raises ValueError where a factor has no fixed-point form."""
        return Factor(*quantize_multiplier(np.atleast_1d(np.asarray(real, np.float64))))

    def take(self, channels: slice) -> Factor:
        """Of some channels."""
        return Factor(self.multiplier[channels], self.shift[channels])

    def apply(self, values: Array) -> Array:
        return multiply_by_quantized_multiplier(wrap_int32(values.astype(np.int64)), self.multiplier, self.shift)


def product_factor(x: TensorType, weights: TensorType, scale: Array | float, runtime: Runtime) -> Factor:
    """From sums of products to steps of `scale`, per channel: LiteRT computes it in float32."""
    if weights.quant is None:
        raise ValueError("the weights have no quantisation parameters")
    channels = (weights.shape[0],)
    if runtime == "litert":
        one = np.float32
        real = weights.quant.scale.astype(one) * one(x.scale) / np.asarray(scale, one)
    else:
        real = weights.quant.scale.astype(np.float64) * x.scale / np.asarray(scale, np.float64)
    return Factor.of(np.broadcast_to(real, channels))


def products(x: Array, x_type: TensorType, weights: Array, bias: Array | None) -> Array:
    """Sums (..., C), int64."""
    centred = x.astype(np.float64) - x_type.zero_point
    sums = (centred @ weights.T.astype(np.float64)).astype(np.int64)
    return sums if bias is None else sums + bias.astype(np.int64)


def saturated(values: Array) -> Array:
    return np.clip(values, LOW, HIGH)


def rescaled(sums: Array, factor: Factor, x: TensorType) -> Array:
    """Steps of a gate, int16; of int16 inputs the sums have 64 bits, and the factor 16."""
    if x.dtype == INT8:
        return saturated(factor.apply(sums))
    return WideRequant(factor.multiplier, factor.shift, LOW, HIGH, "reduced").apply(sums).astype(np.int64)


def cell_power(cell: TensorType) -> int:
    """The exponent of the cell's scale. Raises ValueError where that is no power of two, or none of the supported."""
    mantissa, exponent = np.frexp(cell.scale)
    if mantissa != 0.5:
        raise ValueError(f"the cell has the scale {cell.scale}, supported are powers of two")
    power = int(exponent) - 1
    if not -15 <= power <= fixed_point_int16.MAX_INTEGER_BITS - 15:
        raise ValueError(f"the cell has the scale 2^{power}, supported are 2^-15 to 2^-9")
    return power


def clip_steps(clip: float, scale: float, bits: int) -> int:
    """A bound of real values in steps, as the reference rounds it towards zero; 0 for none."""
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    return int(np.clip(np.float32(clip) / np.float32(scale), low, high)) if clip > 0 else 0


def clipped(values: Array, bound: int) -> Array:
    return np.clip(values, -bound, bound) if bound > 0 else values


def logistic(x: Array, runtime: Runtime) -> Array:
    """Of int16 with 12 fractional bits; int64."""
    found = fixed_point_int16.logistic(x) if runtime == "litert" else wide.logistic(TableInput(3, 0), x)
    return found.astype(np.int64)


def tanh(x: Array, power: int, runtime: Runtime) -> Array:
    """Of int16 of the scale 2^power; int64."""
    if runtime == "litert":
        return fixed_point_int16.tanh(x, 15 + power).astype(np.int64)
    return wide.tanh(tflm_tanh_input(power), x).astype(np.int64)


def tflm_tanh_input(power: int) -> TableInput:
    """`lstm_internal::Tanh`."""
    left = power + 12
    return TableInput(3 << left, 0) if left >= 0 else TableInput(3, -left)


@dataclass(frozen=True, eq=False)
class Normalisation:
    """Layer normalisation of a gate over its cells (`PortableApplyLayerNorm`).

    Attributes:
        factor: from steps of weight * 2^-10 to steps of a gate in front of its function.
        least_variance: what stands for a variance that is below 1 in squared steps.
    """

    factor: Factor
    least_variance: int

    @staticmethod
    def of(scale: float) -> Normalisation:
        """Args:
        scale: of the int16 factors.

        Raises:
            ValueError: it has no fixed-point form.
        """
        multiplier, shift = quantize_multiplier(np.atleast_1d(np.float64(scale)))
        if shift[0] + _GATE_BITS > MAX_SHIFT:
            raise ValueError(f"factors of layer normalisation with the scale {scale:.6g}")
        # The reference multiplies in float32.
        least = max(1, int(np.float32(10_000) * np.float32(scale)))
        return Normalisation(Factor(multiplier, shift + np.int32(_GATE_BITS)), least)

    def apply(self, gate: Array, factors: Array, bias: Array) -> Array:
        """Of int16 values (..., cells), int64; factors and bias (cells,)."""
        gate, cells = gate.astype(np.int64), gate.shape[-1]
        total = gate.sum(axis=-1, keepdims=True) << NORMAL_BITS
        mean = np.sign(total) * (np.abs(total) // cells)
        # The mean of squares by a truncated reciprocal, whose error may leave less than the square of the mean.
        squares = (gate**2).sum(axis=-1, keepdims=True) * ((1 << 2 * NORMAL_BITS) // cells)
        variance = (squares - mean**2) >> (2 * NORMAL_BITS)
        root = Factor(*inverse_square_root(np.where(variance < 1, self.least_variance, variance)))
        normal = root.apply((gate << NORMAL_BITS) - mean)
        scaled = normal * factors.astype(np.int64) + bias.astype(np.int64)
        return saturated(self.factor.apply(rounding_divide_by_pot(scaled, NORMAL_BITS)))


@dataclass(frozen=True, eq=False)
class Mixing:
    """How gates and cell become the next cell, and the output.

    Attributes:
        power: exponent of the cell's scale.
        cell_clip: bound of the cell in steps; 0 for none.
        keep, add: TFLM's factors of forget gate * cell and input gate * cell gate; LiteRT shifts.
        output: the factor of output gate * tanh(cell). zero_point: of its result. low, high: its range.
    """

    runtime: Runtime
    power: int
    cell_clip: int
    keep: Factor
    add: Factor
    output: Factor
    zero_point: int
    low: int
    high: int

    @staticmethod
    def of(cell: TensorType, clip: float, output: tuple[float, int], high: int, runtime: Runtime) -> Mixing:
        """Args:
        output: scale and zero point of output gate * tanh(cell).

        Raises:
            ValueError: a factor has no fixed-point form.
        """
        power, scale = cell_power(cell), output[0]
        if runtime == "litert":
            real = float(np.float32(2.0**-15 / np.float32(scale).astype(float) * 2.0**-15))
        else:
            real = 2.0**-30 / np.float32(scale).astype(float)
        keep, add = Factor.of(2.0**-15), Factor.of(2.0 ** (-30 - power))
        return Mixing(
            runtime, power, clip_steps(clip, cell.scale, 16), keep, add, Factor.of(real), output[1], -high - 1, high
        )

    def cell(self, input_gate: Array, forget_gate: Array, cell_gate: Array, cell: Array) -> Array:
        """The next cell, int64; all of these are."""
        if self.runtime == "litert":
            kept = rounding_divide_by_pot(forget_gate * cell, 15)
            added = rounding_divide_by_pot(input_gate * cell_gate, 30 + self.power)
        else:
            kept = saturated(self.keep.apply(forget_gate * cell))
            added = saturated(self.add.apply(input_gate * cell_gate))
        return clipped(saturated(kept + added.astype(np.int16)), self.cell_clip)

    def hidden(self, output_gate: Array, cell: Array) -> Array:
        """Output gate * tanh(cell), int64."""
        product = output_gate * tanh(cell.astype(np.int16), self.power, self.runtime)
        return np.clip(self.output.apply(product) + self.zero_point, self.low, self.high)


def gate_function(gate: Array, is_cell: bool, runtime: Runtime) -> Array:
    """A gate behind its function; int64."""
    return tanh(gate.astype(np.int16), -12, runtime) if is_cell else logistic(gate.astype(np.int16), runtime)
