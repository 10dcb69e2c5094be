"""Weights of 2, 3 or 4 bits: which layers have them, and how they share words (docs/kernels.md)."""

from __future__ import annotations

import numpy as np

from tinycompile.ir import Array, Site
from tinycompile.kernels.linear_layer import LinearLayer


def offset(bits: int) -> int:
    """What is added to a weight, so that none is negative: 8 with 4 bits."""
    return 1 << bits - 1


def fits(site: Site, bits: int) -> bool:
    """Whether a layer has constant weights, all of them integers of so many bits."""
    return site.constants[1] is not None and LinearLayer.of(site).fits_bits(bits)


def shared_words(matrix: Array, bits: int) -> Array:
    """Weights (C, K), C a multiple of 8 / bits and K of 4, as uint32 (C bits / 8, K / 4); `bits`: 4 or 2.

    A byte has the weights + `offset` of 8 / bits channels for one input, the first channel's in its lowest bits; a word
    has the bytes of 4 inputs, the first one in its lowest bits.
    """
    together = 8 // bits
    parts = (matrix + offset(bits)).reshape(-1, together, matrix.shape[1]).astype(np.uint8)
    shifts = bits * np.arange(together, dtype=np.uint8)[:, None]
    return np.bitwise_or.reduce(parts << shifts, axis=1).view("<u4").astype(np.uint32)


def packed_groups(matrix: Array, bits: int) -> Array:
    """The same with any number of bits, as int32 (channels that share words / all, words).

    Of 3 bits the lower 2 are words of their own; two of these and one with the highest bits follow each other, in its
    bytes the four channels' of the first word, then those of the second one. An odd last word has one for itself.
    """
    if bits != 3:
        return shared_words(matrix, bits).view(np.int32)
    stored = matrix + offset(bits)
    low = shared_words((stored & 3) - offset(2), 2)
    groups = low.shape[1]
    high = _high_words(stored >> 2)
    high = np.pad(high, ((0, 0), (0, groups % 2))).reshape(len(low), -1, 2)
    both = high[..., 0] | high[..., 1] << 4
    triples = np.concatenate([np.pad(low, ((0, 0), (0, groups % 2))).reshape(len(low), -1, 2), both[..., None]], axis=2)
    words = triples.reshape(len(low), -1)
    return (np.delete(words, -2, axis=1) if groups % 2 else words).view(np.int32)


def _high_words(bits: Array) -> Array:
    """(C, K) of 0 and 1 as uint32 (C / 4, K / 4): in a byte those of four channels for one input."""
    parts = bits.reshape(-1, 4, bits.shape[1]).astype(np.uint8) << np.arange(4, dtype=np.uint8)[:, None]
    return np.bitwise_or.reduce(parts, axis=1).view("<u4").astype(np.uint32)
