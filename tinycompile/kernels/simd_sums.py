"""Weights and factors for `tc_simd_sums.h`: products whose sums become int16."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.generic_c import Fields
from tinycompile.kernels.lane import lane_offset, pack_words, padded
from tinycompile.ops._arithmetic.integer_lstm import Factor


def lane_stream(weights: Array, bias: Array) -> Array | None:
    """int32, per 8 rows: starts, words; None where a lane or 256 times a sum doesn't fit."""
    matrix = _filled(weights, 8)
    words = pack_words(matrix)
    if words is None or _largest(weights, bias) >= 2**23:
        return None
    start = (256 * np.pad(bias.astype(np.int64), (0, len(matrix) - len(bias))) - lane_offset(matrix)).reshape(-1, 8)
    body = words.reshape(-1, 8, words.shape[1]).transpose(0, 2, 1).reshape(len(start), -1)
    return np.concatenate([start, body], axis=1).astype(np.int32).ravel()


def pair_stream(weights: Array, bias: Array) -> Array | None:
    """int32, per 6 rows: starts, then per 4 inputs and row their weights 0 and 2, 1 and 3; all of it doubled."""
    if _largest(weights, bias) >= 2**30:
        return None
    matrix = 2 * _filled(weights, 6)
    start = 2 * np.pad(bias.astype(np.int64), (0, len(matrix) - len(bias))).reshape(-1, 6)
    taps = matrix.reshape(len(matrix), -1, 4) & 0xFFFF
    words = np.stack([taps[..., 0] | taps[..., 2] << 16, taps[..., 1] | taps[..., 3] << 16], axis=-1)
    body = words.reshape(len(start), 6, -1, 2).transpose(0, 2, 1, 3).reshape(len(start), -1)
    return np.concatenate([start, body], axis=1).astype(np.uint32).view(np.int32).ravel()


def _filled(weights: Array, rows: int) -> Array:
    """int64, with zeros to whole blocks."""
    return padded(weights.astype(np.int64), -(-len(weights) // rows) * rows, -(-weights.shape[1] // 4) * 4)


def _largest(weights: Array, bias: Array) -> int:
    """What no sum exceeds, either way."""
    return int((np.abs(bias.astype(np.int64)) + 128 * np.abs(weights.astype(np.int64)).sum(axis=1)).max())


def sum_factors(factor: Factor, weights: Array, bias: Array, parts: int, *, pairs: bool) -> list[Fields] | None:
    """Members of `tc_sum_factor`, for each of so many equal parts of the rows; None where a sum leaves its register."""
    rows = factor.multiplier.size // parts
    found = list[Fields]()
    for multiplier, shift in zip(factor.multiplier[::rows].tolist(), factor.shift[::rows].tolist(), strict=True):
        left, right = max(shift, 0), max(-shift, 0)
        if right > 29 or _largest(weights, bias) >= 1 << 30 - min(left, 30):
            return None
        half = 1 << right - 1 if right else 0
        before = 0 if pairs else 7
        found.append({"multiplier": multiplier, "before": before, "left": left, "half": half, "right": right})
    return found
