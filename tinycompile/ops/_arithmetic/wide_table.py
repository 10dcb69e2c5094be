"""Functions that LiteRT knows in floats only, of int16: 512 intervals over the input's range, linear in between."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinycompile.ir import Array, Signature
from tinycompile.ops._arithmetic.wide import HIGH, LOW

INTERVALS = 512


def sampled(function: Callable[[Array], Array], sig: Signature) -> Array:
    """int16 (513,): the function at the ends of the intervals (`LUTPopulateInt16`, in float32), each sample moved by
    half of what interpolation is off in the middle of the interval behind it.

    Args:
        function: of a float32 array; its result is rounded to float32.
    """
    one = np.float32
    lowest, highest = one(sig.input.scale) * one(LOW), one(sig.input.scale) * one(HIGH)
    step = (highest - lowest) / one(INTERVALS)
    factor = one(1 << 16) / (one(sig.output.scale) * one(HIGH) - one(sig.output.scale) * one(LOW))

    def scaled(x: Array) -> Array:
        return function(x).astype(one) * factor

    with np.errstate(all="ignore"):
        at = lowest + np.arange(INTERVALS, dtype=one) * step
        following = lowest + np.arange(1, INTERVALS + 1, dtype=one) * step
        sample = _away(scaled(at))
        middle = _away((scaled(following) + sample) / one(2))
        samples = sample - _away((middle - _away(scaled(at + step / one(2)))) / one(2))
        entries = np.append(samples, _away(scaled(np.array([highest], one))))
        # std::max and std::min hand a NaN on; x86 makes 0 of it.
        return np.where(np.isnan(entries), 0, np.clip(entries, LOW, HIGH)).astype(np.int16)


def _away(x: Array) -> Array:
    """The nearest integers, halves away from zero, as float32."""
    return np.copysign(np.floor(np.abs(x.astype(np.float64)) + 0.5), x).astype(np.float32)
