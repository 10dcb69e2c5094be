"""Constants of an audio front end, by the formulas of TFLM's Python operators, in the same precision."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tinycompile.dtypes import INT16, Array

GAIN_BITS_OF_A_NUMBER = 32


def hann_window(length: int, bits: int) -> Array:
    """int16[length], `bits` of them behind the binary point."""
    at: Array = np.arange(length, dtype=np.float64) + 0.5
    return np.array(np.round((0.5 - 0.5 * np.cos(np.pi * 2 / length * at)) * 2**bits), np.int16)


def mel(frequency: float) -> np.float32:
    """Of a frequency in Hz; in float32."""
    return np.float32(1127) * np.log1p(np.float32(frequency) / np.float32(700))


@dataclass(frozen=True, eq=False)
class FilterBank:
    """Triangles, evenly spaced in mel.

    Attributes:
        start, end: of the spectrum's numbers, those that count.
        weights, unweights, firsts, first_weights, widths: as `SignalFilterBank` has them, int16.
    """

    start: int
    end: int
    weights: Array
    unweights: Array
    firsts: Array
    first_weights: Array
    widths: Array


def filter_bank(fft: int, rate: int, channels: int, low: float, high: float, bits: int = 12) -> FilterBank:
    """Of the spectrum of a transform of `fft` samples. Raises ValueError where it ends below the highest frequency, or
    has no number between the two.
    """
    apart = (rate / 2) / (fft // 2)
    lowest = mel(low)
    spacing = (mel(high) - lowest) / np.float32(channels + 1)
    centres = lowest + spacing * np.arange(1, channels + 2, dtype=np.float32)
    start = number = round(1 + low / apart)
    firsts, widths, pairs = list[int](), list[int](), list[tuple[int, int]]()
    for channel, centre in enumerate(centres):
        firsts.append(number)
        before = lowest if channel == 0 else centres[channel - 1]
        while number <= fft // 2 + 1 and mel(number * apart) <= centre:
            weight = np.float32(centre - mel(number * apart)) / np.float32(centre - before)
            pairs.append((int(weight * (1 << bits)), int((1 - weight) * (1 << bits))))
            number += 1
        widths.append(number - firsts[-1])
        if number > fft // 2 + 1:
            raise ValueError(f"{high} Hz is beyond the spectrum, which ends at {rate / 2} Hz")
    if not pairs or number > INT16.range[1]:
        count = "no number" if not pairs else "more than 32,767 numbers"
        raise ValueError(f"there is {count} of the spectrum from {low} to {high} Hz, it has one for every {apart:g} Hz")
    weights, unweights = np.array(pairs, np.int16).T
    ends = np.cumsum([0, *widths[:-1]])
    arrays = (np.array(each, np.int16) for each in (firsts, ends, widths))
    return FilterBank(start, number, weights.copy(), unweights.copy(), *arrays)


def gains(strength: float, offset: float, input_bits: int, gain_bits: int) -> Array:
    """int16[125], the table of `SignalPcan`: gain by noise, both in fixed point."""

    def gain(noise: int) -> int:
        real = np.float32(noise) / np.float32(1 << input_bits) + np.float32(offset)
        scaled = np.float32(1 << gain_bits) * np.float32(real) ** np.float32(-strength)
        return 32767 if scaled > 32767 else int(scaled + np.float32(0.5))

    table = [gain(0), gain(1)]
    for bits in range(2, GAIN_BITS_OF_A_NUMBER + 1):
        low = 1 << bits - 1
        high = 2 * low - (bits == GAIN_BITS_OF_A_NUMBER)
        ends = gain(low), gain(low + low // 2), gain(high)
        slope = 4 * (ends[1] - ends[0]) - (ends[2] - ends[0])
        table += [ends[0], slope, ends[2] - ends[0] - slope, 0]
    return np.array(table, np.int64).astype(np.int16)[:125]


def cosines(count: int, channels: int) -> Array:
    """float32[count, channels]: the orthonormal DCT of type 2, which makes MFCCs of logarithms."""
    rows: Array = np.arange(count, dtype=np.float64)[:, None]
    at: Array = np.arange(channels, dtype=np.float64)[None, :] + 0.5
    scale = np.where(rows == 0, math.sqrt(1 / channels), math.sqrt(2 / channels))
    return (scale * np.cos(np.pi / channels * rows * at)).astype(np.float32)
