"""Resizing by linear interpolation along rows and columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from tinycompile.dtypes import FLOAT32, INT8, INT16, DType
from tinycompile.ir import Array, Signature, TensorType
from tinycompile.ops._arithmetic import real
from tinycompile.ops._rules import first_reason, not_quantized, rescales
from tinycompile.ops._typed import Meaning, Meanings, Typed

Rounding = Literal["tflite", "onnx", "down", "to zero"]
ONE = 1 << 10
"""The weights of an output position along an axis add up to this."""


@dataclass(frozen=True, eq=False)
class Positions:
    """Along an axis: output i lies between the inputs lower[i] and upper[i], the same or neighbours.

    Attributes:
        weight: of the upper one: int64 in [0, ONE), or float32 in [0, 1].
    """

    lower: Array
    upper: Array
    weight: Array


@dataclass(frozen=True)
class ResizeBilinear(Typed):
    """int8 and int16 (N = 1) in a fixed point of 10 bits per axis, or float32 with any batch; any size, constant;
    align_corners or half_pixel_centers.

    Attributes:
        size: (rows, columns) of the output.
        rule: how sums of integers are rounded. "tflite": the bytes halves away from zero, whatever scales input and
            output have, as LiteRT does. "onnx": the numbers, which have one scale, halves to even, as ONNX's
            QuantizeLinear does. "down", "to zero": of int8 the bytes, as onnxruntime cuts off what it resizes of uint8
            (here lower by 128) and int8.
    """

    kind: ClassVar[str] = "resize_bilinear"

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False
    rule: Rounding = "tflite"

    def infer(self, inputs: Sequence[TensorType]) -> tuple[tuple[tuple[int, ...], DType], ...]:
        x = inputs[0]
        if len(x.shape) != 4 or min(self.size) < 1 or 0 in x.shape:
            raise ValueError(f"{x} can't be resized to {self.size}")
        return (((x.shape[0], *self.size, x.shape[3]), x.dtype),)

    def positions(self, sig: Signature) -> tuple[Positions, Positions]:
        """Of rows and of columns."""
        along = self._real if sig.input.dtype == FLOAT32 else self._fixed
        _, height, width, _ = sig.input.shape
        return along(height, self.size[0]), along(width, self.size[1])

    def _fixed(self, inputs: int, outputs: int) -> Positions:
        """`ComputeInterpolationValuesInteger` (resize_bilinear.h): the step is rounded to 10 bits, then multiplied."""
        if self.align_corners and outputs > 1:
            step = (ONE * (inputs - 1) + (outputs - 1) // 2) // (outputs - 1)
        else:
            step = (ONE * inputs + outputs // 2) // outputs
        place = np.arange(outputs, dtype=np.int64) * step + (step // 2 - ONE // 2 if self.half_pixel_centers else 0)
        lower = np.maximum(place, 0) // ONE
        upper = np.minimum(np.maximum(place + ONE - 1, 0) // ONE, inputs - 1)
        # Before the first and behind the last input both are the same, and weights that add up to ONE say nothing.
        return Positions(lower, upper, np.where(upper > lower, place - lower * ONE, 0))

    def _real(self, inputs: int, outputs: int) -> Positions:
        """`ComputeInterpolationValues`, in float32."""
        aligned = self.align_corners and outputs > 1
        step = np.float32(inputs - 1) / np.float32(outputs - 1) if aligned else np.float32(inputs) / np.float32(outputs)
        place = np.arange(outputs, dtype=np.float32)
        half = np.float32(0.5)
        place = (place + half) * step - half if self.half_pixel_centers else place * step
        lower = np.maximum(np.floor(place), 0).astype(np.int64)
        upper = np.minimum(np.maximum(np.ceil(place), 0).astype(np.int64), inputs - 1)
        lower = np.minimum(lower, inputs - 1)
        return Positions(lower, upper, np.where(upper > lower, place - lower.astype(np.float32), np.float32(0)))

    def meanings(self) -> Meanings:
        by_rule = {
            "tflite": dict.fromkeys((INT8, INT16), Meaning(self._integers, self._limits)),
            "onnx": dict.fromkeys((INT8, INT16), Meaning(self._even, self._even_limits)),
            "down": {INT8: Meaning(self._cut, self._even_limits)},
            "to zero": {INT8: Meaning(self._cut, self._even_limits)},
        }
        return {**by_rule[self.rule], FLOAT32: Meaning(self._floats, self._float_limits)}

    def _floats(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            return (self._blended(sig, inputs[0].astype(np.float64), 1).astype(np.float32),)

    def _integers(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        sums: Array = self._blended(sig, inputs[0].astype(np.int64), ONE)
        # Halves away from zero: a shift rounds them upwards.
        return (np.right_shift(sums + ONE * ONE // 2 - (sums < 0), 20).astype(inputs[0].dtype),)

    def _even(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        zero_point = sig.output.zero_point
        sums: Array = self._blended(sig, inputs[0].astype(np.int64) - zero_point, ONE)
        odd = np.right_shift(sums, 20) & 1
        return ((np.right_shift(sums + ONE * ONE // 2 - 1 + odd, 20) + zero_point).astype(inputs[0].dtype),)

    def _cut(self, sig: Signature, inputs: Sequence[Array]) -> tuple[Array, ...]:
        sums: Array = self._blended(sig, inputs[0].astype(np.int64), ONE)
        rest = (sums < 0) * (ONE * ONE - 1) if self.rule == "to zero" else 0
        return (np.right_shift(sums + rest, 20).astype(np.int8),)

    def _even_limits(self, sig: Signature) -> str | None:
        return self._limits(sig) or rescales(sig.input, sig.output)

    def _blended(self, sig: Signature, x: Array, one: int) -> Array:
        """Sums of products, of weights that add up to `one` per axis."""
        rows, columns = self.positions(sig)
        below, right = rows.weight[:, None, None], columns.weight[:, None]
        tall = x[:, rows.lower] * (one - below) + x[:, rows.upper] * below
        return tall[:, :, columns.lower] * (one - right) + tall[:, :, columns.upper] * right

    def _float_limits(self, sig: Signature) -> str | None:
        return real.other_types(sig) or self._both()

    def _both(self) -> str | None:
        both = self.align_corners and self.half_pixel_centers
        return "its options align_corners and half_pixel_centers are both true, which LiteRT refuses" if both else None

    def _limits(self, sig: Signature) -> str | None:
        reason = first_reason(
            (
                self._both(),
                not_quantized(sig.input, "the input", INT8, INT16),
                not_quantized(sig.output, "the output", sig.input.dtype),
                None if sig.input.shape[0] == 1 else f"the batch is {sig.input.shape[0]}, supported is 1",
            )
        )
        beyond = [int(p.lower[-1]) >= n for p, n in zip(self.positions(sig), sig.input.shape[1:3], strict=True)]
        if reason is None and any(beyond):
            return f"its steps of 1/1024 lead beyond the input at the size {list(self.size)}, where LiteRT reads on"
        return reason
