"""Prefix codes of bytes: lossless for all distributions, as short as they can be, decoders safe for any words."""

from __future__ import annotations

import heapq

import numpy as np
import pytest

from tinycompile.numerics.prefix_code import (
    BYTES,
    LENGTH_WORDS,
    LONGEST,
    canonical_codes,
    code_lengths,
    coded,
    coded_words,
    decoded,
    decoding_table,
    entropy,
)

RNG = np.random.default_rng(5)
FIBONACCI = [1, 1]
while len(FIBONACCI) < 18:
    FIBONACCI.append(FIBONACCI[-1] + FIBONACCI[-2])

DATA = {
    "nothing": np.zeros(0, np.uint8),
    "one byte": np.array([200], np.uint8),
    "one symbol": np.full(700, 7, np.uint8),
    "two": np.array([255, 0, 255], np.uint8),
    "all, equally often": np.arange(BYTES, dtype=np.uint8),
    "weights": np.clip(RNG.normal(0, 14, 2000), -127, 127).astype(np.int8).view(np.uint8),
    "longer codes than allowed": np.repeat(np.arange(18), FIBONACCI).astype(np.uint8),
    "all, and one nearly always": np.concatenate([np.arange(BYTES), np.full(9000, 3)]).astype(np.uint8),
}


@pytest.mark.parametrize("data", DATA.values(), ids=DATA)
def test_nothing_is_lost(data):
    words = coded(data)
    counts = np.bincount(data, minlength=BYTES)
    np.testing.assert_array_equal(decoded(words, data.size), data)
    assert words.dtype == np.uint32
    assert words.size == coded_words(counts)
    assert 8 * 4 * words.size >= entropy(counts)


def _unlimited(counts):
    """Bits of Huffman's own construction."""
    heap, bits = [int(count) for count in counts if count], 0
    heapq.heapify(heap)
    while len(heap) > 1:
        both = heapq.heappop(heap) + heapq.heappop(heap)
        bits += both
        heapq.heappush(heap, both)
    return bits


@pytest.mark.parametrize("seed", range(4))
def test_codes_are_as_short_as_they_can_be(seed):
    rng = np.random.default_rng(seed)
    counts = np.zeros(BYTES, np.int64)
    used = rng.choice(BYTES, rng.integers(2, 100), replace=False)
    counts[used] = rng.integers(1, 60, used.size)
    lengths = code_lengths(counts, 20)
    assert (lengths > 0).tolist() == (counts > 0).tolist()
    assert (2.0 ** -lengths[used]).sum() == 1
    assert (counts * lengths).sum() == _unlimited(counts)
    limited = code_lengths(counts)
    assert limited.max() <= LONGEST
    assert (2.0 ** -limited[used]).sum() == 1
    assert (counts * limited).sum() >= _unlimited(counts)


def test_a_limit_costs_what_the_best_codes_within_it_cost():
    counts = np.zeros(BYTES, np.int64)
    counts[:5] = 1, 1, 2, 4, 8
    assert code_lengths(counts, 3).tolist()[:5] in ([3, 3, 3, 3, 1], [3, 3, 2, 2, 2])
    assert (counts * code_lengths(counts, 3)).sum() == 32  # without a limit 30
    assert (counts * code_lengths(counts, 8)).sum() == 30


def test_codes_are_in_the_order_of_lengths_and_bytes():
    lengths = np.zeros(BYTES, np.int64)
    lengths[[9, 4, 200, 7]] = 1, 3, 2, 3
    codes = canonical_codes(lengths)
    assert codes[[9, 200, 4, 7]].tolist() == [0b0, 0b10, 0b110, 0b111]


@pytest.mark.parametrize("seed", range(3))
def test_any_words_make_a_whole_table(seed):
    words = np.random.default_rng(seed).integers(0, 2**32, LENGTH_WORDS + 3, np.uint32)
    table = decoding_table(words)
    assert table.size == 1 << LONGEST
    assert (table & 255).min() >= 1
    assert (table & 255).max() <= LONGEST
    assert decoded(words, 500).size == 500
