"""`anomaly`: how far the output of an autoencoder is from its input, in integers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from pathlib import Path
from typing import ClassVar

import numpy as np

from tinycompile.backends.floats import HEADER, in_steps, literal
from tinycompile.backends.request import Request
from tinycompile.dtypes import FLOAT32, INT8, INT16, UINT8
from tinycompile.ir import Array, TensorType

FINEST = 24
"""Bits of the larger of the two multipliers, at most."""

SMALLEST = 64
"""Of a multiplier: below it the ratio of the scales would be off by up to 1 %."""

FARTHEST = 1 << 20
"""Steps of a difference of floats."""

Errors = Callable[[Path, "Anomaly"], Array]
"""The errors of all samples of a file, (samples,)."""


@dataclass(frozen=True)
class Anomaly:
    """The error of a sample: the sum over all elements of (a (x - zx) - b (y - zy))², of input x and output y.

    Scales are multiples of a unit: a u is that of the input, b u that of the output; so u² / n times the error is the
    mean squared error of real numbers. Where the scales differ, u is the larger one over a power of two, as small as
    keeps the error below 2^64, and the other one is rounded to it.

    Of floats it is the sum of (x - y)², each difference in whole steps u, at most 2^20 of them.

    Attributes:
        step: of floats; None for integers.
        limit: the largest error that is no anomaly.
        unit: u² / n, for people. said: what the limit is, for a comment.
    """

    kind: ClassVar[str] = "anomaly"

    input: int
    output: int
    types: tuple[TensorType, TensorType]
    multipliers: tuple[int, int]
    unit: Fraction
    limit: int = 0
    said: str = ""
    step: np.float32 | None = None

    @property
    def headers(self) -> tuple[str, ...]:
        return () if self.step is None else (HEADER,)

    @property
    def step_literal(self) -> str:
        return "" if self.step is None else literal(self.step)

    @property
    def elements(self) -> int:
        return self.types[0].elements

    def __call__(self, given: Array, made: Array) -> Array:
        """Errors of samples, (samples, ...) of input and output: (samples,) uint64."""
        if self.step is not None:
            flat = (values.reshape(len(values), -1).astype(np.float32) for values in (given, made))
            difference = in_steps(np.subtract(*flat), self.step, -FARTHEST, FARTHEST)
            return np.square(difference).astype(np.uint64).sum(axis=1)
        (a, b), (tx, ty) = self.multipliers, self.types
        x = a * (given.reshape(len(given), -1).astype(np.int64) - tx.zero_point)
        difference = x - b * (made.reshape(len(made), -1).astype(np.int64) - ty.zero_point)
        return np.square(difference).astype(np.uint64).sum(axis=1)


def anomaly_of(
    request: Request, inputs: Sequence[TensorType], outputs: Sequence[TensorType], errors: Errors
) -> Anomaly:
    """With a limit from `threshold`, a mean squared error in real numbers, or from `data`: the smallest error that at
    least `percentile` percent of these samples don't exceed.

    Raises:
        UsageError: no input is as large as the output, they have no scales, or the limit isn't said.
    """
    found = _between(request, inputs, outputs)
    data = request.path("data")
    if (data is None) == ("threshold" not in request.settings):
        raise request.fail(
            "either threshold or data says what is an anomaly", hint="anomaly:data=normal.npz,percentile=99"
        )
    if data is None:
        if "percentile" in request.settings:
            raise request.fail("percentile is for data", hint="anomaly:data=normal.npz,percentile=99")
        threshold = request.real("threshold", None, 0, 1e30)
        limit = floor(threshold / found.unit)
        said = f"a mean squared error of {request.settings['threshold']}"
    else:
        percentile = request.real("percentile", "99", 0, 100)
        ranked = np.sort(errors(data, found))
        limit = int(ranked[max(1, ceil(percentile * len(ranked) / 100)) - 1])
        of = f"{len(ranked):,} samples of {data.name}"
        said = f"what {request.settings.get('percentile', '99')} % of {of} don't exceed, a mean squared error of "
        said += f"{float(limit * found.unit):.6g}"
    if limit >= 2**64:
        raise request.fail(f"threshold={request.settings['threshold']}", why="no output is so far from its input")
    return replace(found, limit=limit, said=said)


def _between(request: Request, inputs: Sequence[TensorType], outputs: Sequence[TensorType]) -> Anomaly:
    pairs = [(i, o) for o, made in enumerate(outputs) for i, given in enumerate(inputs) if _alike(given, made)]
    i, o = pairs[0] if pairs else (0, 0)
    pair = request.whole("input", i, 0, len(inputs) - 1), request.whole("output", o, 0, len(outputs) - 1)
    if pair not in pairs:
        given, made = inputs[pair[0]], outputs[pair[1]]
        raise request.fail(
            f"output {pair[1]} can't be compared with input {pair[0]}",
            why=f"they are {made} and {given}; both have to be floats, or have 8 or 16 bits and a scale; equally many",
            hint="--io int8, where a quantised model has floats at one of its edges",
        )
    types = inputs[pair[0]], outputs[pair[1]]
    if types[0].dtype == FLOAT32:
        step = np.float32(request.real("step", str(Fraction(1, 1 << 12)), 1e-15, 1e15))
        return Anomaly(*pair, types, (1, 1), Fraction(float(step)) ** 2 / types[0].elements, step=step)
    if "step" in request.settings:
        raise request.fail("step is for floats", why=f"the output is {types[1]}")
    scales = tuple(Fraction(float(np.float32(t.scale))) for t in types)
    if scales[0] == scales[1]:
        return Anomaly(*pair, types, (1, 1), scales[0] ** 2 / types[0].elements)
    for bits in range(FINEST, 0, -1):
        unit = max(scales) / 2**bits
        a, b = (round(scale / unit) for scale in scales)
        largest = sum(_reach(t) * factor for t, factor in zip(types, (a, b), strict=True))
        if largest < 2**31 and largest**2 * types[0].elements < 2**64 and min(a, b) >= SMALLEST:
            return Anomaly(*pair, types, (a, b), unit**2 / types[0].elements)
    raise request.fail("the scales of input and output are too far apart", why=f"{types[0]} and {types[1]}")


def _alike(given: TensorType, made: TensorType) -> bool:
    integers = all(t.dtype in (INT8, UINT8, INT16) and t.quant is not None for t in (given, made))
    floats = given.dtype == made.dtype == FLOAT32
    return (integers or floats) and given.elements == made.elements > 1


def _reach(t: TensorType) -> int:
    """The largest distance of a number from its zero point."""
    return max(abs(limit - t.zero_point) for limit in t.dtype.range)
