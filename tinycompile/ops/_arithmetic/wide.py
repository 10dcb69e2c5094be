"""int16 as TFLite means it ("16x8"): symmetric activations of 16 bits, weights of 8, biases of 64 or 32."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from tinycompile.choices import Runtime
from tinycompile.dtypes import INT16, INT32, INT64, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.numerics.fixed_point import (
    count_leading_zeros,
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    wrap_int32,
)
from tinycompile.numerics.wide_requant import RealRequant
from tinycompile.ops._rules import bad_weights, first_reason, invalid, not_quantized, wrong_dtype

LOW, HIGH = INT16.range

Form = Literal["reduced", "single", "double"]
"""How a sum is rescaled: by 16 bits of the multiplier and one rounding (CONV_2D and DEPTHWISE_CONV_2D with an int64
bias); by all 32 and one rounding (FULLY_CONNECTED); by all 32 and two roundings, of an int32 sum (with an int32 bias).
"""

_REDUCED_LIMIT = 0x7FFF0000


@dataclass(frozen=True, eq=False)
class WideRequant:
    """From sums to int16 outputs, a factor per channel: sum * multiplier * 2^(shift - 31).

    Attributes:
        multiplier, shift: int32 (C,), as `quantize_multiplier` gives them.
        low, high: the range of the output.
    """

    multiplier: Array
    shift: Array
    low: int
    high: int
    form: Form

    @staticmethod
    def of(real: Array, clamp: tuple[int, int], form: Form) -> WideRequant:
        """Raises ValueError where a factor has no fixed-point form."""
        return WideRequant(*quantize_multiplier(real), *clamp, form)

    @property
    def factors(self) -> tuple[Array, Array]:
        """(multiplier, right shift) of the product that is rounded once; a right shift of at least 1."""
        multiplier, shift = self.multiplier.astype(np.int64), self.shift.astype(np.int64)
        if self.form == "reduced":
            return np.where(multiplier < _REDUCED_LIMIT, (multiplier + (1 << 15)) >> 16, 0x7FFF), 15 - shift
        return multiplier, 31 - shift

    def apply(self, acc: Array) -> Array:
        """The outputs of sums (..., C), int64."""
        if self.form == "double":
            scaled = multiply_by_quantized_multiplier(wrap_int32(acc), self.multiplier, self.shift)
        else:
            multiplier, right = self.factors
            scaled = (acc.astype(np.int64) * multiplier + (np.int64(1) << (right - 1))) >> right
        return np.clip(scaled, self.low, self.high).astype(np.int16)


WideRule = WideRequant | RealRequant
"""Of a layer: TFLite's, or ONNX's."""


def asymmetric(t: TensorType, role: str) -> str | None:
    """Why a tensor isn't int16 with one scale and the zero point 0; None if it is."""
    reason = not_quantized(t, role, INT16)
    if reason is not None or t.zero_point == 0:
        return reason
    return f"{role} is int16 with the zero point {t.zero_point}, supported is 0"


def layer_limits(
    sig: Signature, axis: int, requant: Callable[[Signature], object], biases: Sequence[DType] = (INT32, INT64)
) -> str | None:
    """Why a layer can't have int16 activations, int8 weights with output channels along `axis`, and a bias, if it has
    one, of one of `biases`; None if it can.
    """
    return first_reason(
        (
            asymmetric(sig.input, "the input"),
            asymmetric(sig.output, "the output"),
            bad_weights(sig.inputs[1], axis),
            invalid(lambda: requant(sig)),
            wrong_dtype(sig.inputs[2], "the bias", *biases) if len(sig.inputs) > 2 else None,
        )
    )


# Functions of one value.


def real_layer_limits(sig: Signature, axis: int, rule: RealRequant, *, pads: bool) -> str | None:
    """Why a layer with a rule of its own can't have these operands; None if it can.

    Args:
        pads: whether it reads zeros beside its input, which must mean 0.
    """
    return first_reason(
        (
            not_quantized(sig.input, "the input", INT16),
            not_quantized(sig.output, "the output", INT16),
            bad_weights(sig.inputs[1], axis),
            "a bias beside a rule of its own" if len(sig.inputs) > 2 else None,
            None if rule.channels == sig.output.shape[-1] else f"a rule of {rule.channels} channels",
            f"padding, and the zero point {sig.input.zero_point}" if pads and sig.input.zero_point else None,
        )
    )


# fmt: off
SIGMOID_STEPS = (
    32768, 33451, 34133, 34813, 35493, 36169, 36843, 37513, 38180, 38841, 39498, 40149, 40794, 41432, 42064,
    42688, 43304, 43912, 44511, 45102, 45683, 46255, 46817, 47369, 47911, 48443, 48964, 49475, 49975, 50464,
    50942, 51409, 51865, 52311, 52745, 53169, 53581, 53983, 54374, 54755, 55125, 55485, 55834, 56174, 56503,
    56823, 57133, 57433, 57724, 58007, 58280, 58544, 58800, 59048, 59288, 59519, 59743, 59959, 60168, 60370,
    60565, 60753, 60935, 61110, 61279, 61441, 61599, 61750, 61896, 62036, 62172, 62302, 62428, 62549, 62666,
    62778, 62886, 62990, 63090, 63186, 63279, 63368, 63454, 63536, 63615, 63691, 63765, 63835, 63903, 63968,
    64030, 64090, 64148, 64204, 64257, 64308, 64357, 64405, 64450, 64494, 64536, 64576, 64614, 64652, 64687,
    64721, 64754, 64786, 64816, 64845, 64873, 64900, 64926, 64950, 64974, 64997, 65019, 65039, 65060, 65079,
    65097, 65115, 65132, 65149, 65164, 65179, 65194, 65208, 65221, 65234, 65246, 65258, 65269, 65280, 65291,
    65301, 65310, 65319, 65328, 65337, 65345, 65352, 65360, 65367, 65374, 65381, 65387, 65393, 65399, 65404,
    65410, 65415, 65420, 65425, 65429, 65433, 65438, 65442, 65445, 65449, 65453, 65456, 65459, 65462, 65465,
    65468, 65471, 65474, 65476, 65479, 65481, 65483, 65485, 65488, 65489, 65491, 65493, 65495, 65497, 65498,
    65500, 65501, 65503, 65504, 65505, 65507, 65508, 65509, 65510, 65511, 65512, 65513, 65514, 65515, 65516,
    65517, 65517, 65518, 65519, 65520, 65520, 65521, 65522, 65522, 65523, 65523, 65524, 65524, 65525, 65525,
    65526, 65526, 65526, 65527, 65527, 65528, 65528, 65528, 65529, 65529, 65529, 65529, 65530, 65530, 65530,
    65530, 65531, 65531, 65531, 65531, 65531, 65532, 65532, 65532, 65532, 65532, 65532, 65533, 65533, 65533,
    65533, 65533, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534, 65534,
    65535,
)
# fmt: on
"""sigmoid(i / 24) * 2^16, as LiteRT has it (`sigmoid_table_uint16`): some entries are one above the nearest integer."""


@dataclass(frozen=True)
class TableInput:
    """What brings an input to the table's steps: (x * multiplier + half) >> shift, where half = 2^shift / 2."""

    multiplier: int
    shift: int

    @staticmethod
    def of(scale: float, integer_bits: int = 3) -> TableInput:
        """Of LOGISTIC and TANH (`SigmoidPrepare`, `TanhPrepare`): a power of two takes a product alone."""
        mantissa, exponent = np.frexp(scale)
        left = 15 - integer_bits + int(exponent) - 1
        if mantissa == 0.5 and left in (0, 1):
            return TableInput(3 << left, 0)
        factor, shift = scale * 4096.0 * 3.0, 0
        while factor <= 32767.0 / 2.0 and shift <= 30:
            factor, shift = factor * 2.0, shift + 1
        if factor >= 2.0**31:
            raise ValueError(f"the input scale {scale} is too large")
        return TableInput(int(factor), shift)

    def steps(self, x: Array) -> Array:
        half = (1 << self.shift) >> 1
        return wrap_int32(x.astype(np.int64) * self.multiplier + half) >> self.shift


def _interpolated(magnitude: Array, bits: int, saturated: int) -> Array:
    """The table between its entries, at 2^bits positions from one to the next; beyond the last one `saturated`."""
    table = np.array(SIGMOID_STEPS, np.int64)
    index = magnitude >> bits
    inside = np.minimum(index, 254)
    low, high = table[inside], table[inside + 1]
    between = (low << bits) + (magnitude & ((1 << bits) - 1)) * (high - low)
    return np.where(index >= 255, saturated, between)


def tanh(table: TableInput, x: Array) -> Array:
    """int16 to int16 of scale 2^-15 (`integer_ops/tanh.h`): tanh(x) = 2 sigmoid(2 x) - 1."""
    steps = table.steps(x)
    result = _interpolated(np.abs(steps), 8, 0xFFFF << 8)
    result = np.where(steps >= 0, result - (1 << 23) + (1 << 7), -result + (1 << 23) + (1 << 7) - 1)
    return (result >> 8).astype(np.int16)


def sigmoid_limits(sig: Signature) -> str | None:
    """Why the sigmoid and the hyperbolic tangent, which share a table, don't have these scales; None if they do."""
    y = sig.output.scale
    wrong = None if y == 2.0**-15 else f"the output has scale {y}, supported is 1/32768"
    return wrong or invalid(lambda: TableInput.of(sig.input.scale))


def logistic(table: TableInput, x: Array) -> Array:
    """int16 to int16 of scale 2^-15 (`integer_ops/logistic.h`)."""
    steps = table.steps(x)
    result = _interpolated(np.abs(steps), 9, 0x7FFF << 10)
    result = np.where(steps >= 0, result + (1 << 9), (1 << 25) - result + (1 << 9) - 1)
    return (result >> 10).astype(np.int16)


# Softmax.

_LOOKUP_STEPS = 512

MAX_DEPTH = 1 << 15
"""Of a softmax: the sum of more exponentials may leave int32."""


@cache
def exponential_table() -> Array:
    """int16 (513,): exp over [-10, 0], 2^15 being 1."""
    return _sampled(np.exp, 10.0, 32767, np.float64)


@cache
def reciprocal_table(runtime: Runtime) -> Array:
    """int16 (513,): 1 / (1 + x) over [0, 1], 2^15 being 1. LiteRT fills it in float64, TFLM in float32."""
    return _sampled(lambda x: 1 / (1 + x), 1.0, -32768, np.float64 if runtime == "litert" else np.float32)


def _sampled(
    function: Callable[[Array], Array], width: float, zero_point: int, number: type[np.float32 | np.float64]
) -> Array:
    """`LUTPopulateInt16`: samples, each moved by half of what interpolation is off in the middle of its interval.

    Args:
        width: of the interval that all int16 values together stand for. zero_point: the value that stands for 0.
        number: in which it is computed. Functions are computed in float64 and rounded.
    """
    steps = number(65535)
    scale, unit = number(width) / steps, number(2) / steps
    low, high = scale * number(-32768 - zero_point), scale * number(32767 - zero_point)
    factor = number(65536) / (unit * number(32767) - unit * number(-32768))
    step = (high - low) / number(_LOOKUP_STEPS)
    places = np.arange(_LOOKUP_STEPS + 1).astype(number)

    def values(at: Array) -> Array:
        return function(at.astype(np.float64)).astype(number) * factor

    begin = low + places[:-1] * step
    sample = _round(values(begin))
    middle = _round((values(low + places[1:] * step) + sample) / number(2))
    bias = _round((middle - _round(values(begin + step / number(2)))) / number(2))
    return np.clip(np.append(sample - bias, _round(values(np.array([high])))), LOW, HIGH).astype(np.int16)


def _round(x: Array) -> Array:
    """Halves away from zero."""
    return np.copysign(np.floor(np.abs(x) + 0.5), x)


def looked_up(table: Array, x: Array) -> Array:
    """`LUTLookup` of values in the range of int16, whose slope and result have 16 bits, and wrap."""
    index, offset = 256 + (x >> 7), x & 127
    base = table[index].astype(np.int64)
    slope = (table[index + 1] - base).astype(np.int16).astype(np.int64)
    return (base + ((slope * offset + 64) >> 7)).astype(np.int16).astype(np.int64)


def softmax(factor: tuple[int, int], x: Array, runtime: Runtime) -> Array:
    """Over the last axis, int16 to int16 of scale 2^-15 (`SoftmaxInt16`).

    Args:
        factor: (multiplier, shift) that brings distances to [-65535, 0] for [-10, 0].
    """
    wide = x.astype(np.int64)
    difference = wide - wide.max(axis=-1, keepdims=True)
    scaled = multiply_by_quantized_multiplier(difference, np.array(factor[0]), np.array(factor[1])) + HIGH
    powers = looked_up(exponential_table(), np.clip(scaled, LOW, HIGH))
    total = powers.sum(axis=-1, keepdims=True)
    zeros = count_leading_zeros(total)
    shifted = ((total << (zeros - 1)) + (1 << 13)) >> 14
    reciprocal = looked_up(reciprocal_table(runtime), np.clip(shifted - (1 << 15) - (1 << 16), LOW, HIGH))
    right = 31 - zeros
    return np.clip((powers * reciprocal + (np.int64(1) << (right - 1))) >> right, 0, HIGH).astype(np.int16)
