"""Indices into tables: lossless, small where values are few, none where they aren't."""

from __future__ import annotations

import numpy as np
import pytest

from tinycompile.kernels.lane import pack_words
from tinycompile.numerics.table_code import LONGEST_RUN, coded, decoded, smallest_code, tables_of


def records(values: int, *, lanes: bool, size: int = 40) -> np.ndarray:
    """uint8: weights with so many values, behind each 288 of them 32 bytes of something else."""
    rng = np.random.default_rng(values)
    some = rng.choice(np.arange(-127, 128), values, replace=False)
    weights = some[rng.integers(0, values, (size, 288))]
    stored = np.asarray(pack_words(weights)).view(np.uint8) if lanes else weights.astype(np.int8).view(np.uint8)
    return np.concatenate([stored, rng.integers(0, 256, (size, 32)).astype(np.uint8)], axis=1).ravel()


@pytest.mark.parametrize("lanes", [False, True])
@pytest.mark.parametrize(("values", "bits", "part"), [(16, 4, 0.58), (11, 4, 0.58), (4, 2, 0.36), (1, 2, 0.36)])
def test_few_values_have_indices_and_other_words_stay(values: int, bits: int, part: float, lanes: bool) -> None:
    data = records(values, lanes=lanes)
    found = smallest_code(data)
    assert found is not None
    assert found.tables.bits == bits
    assert 4 * found.words.size < part * data.size
    assert found.tables.words + found.runs + found.indices + found.plain == found.words.size
    np.testing.assert_array_equal(decoded(found.words, bits, data.size, signed=found.tables.signed), data)


def test_lanes_have_a_signed_lower_part() -> None:
    found = smallest_code(records(16, lanes=True))
    assert found is not None
    assert found.tables.signed


@pytest.mark.parametrize("spread", [3.0, 5.0, 40.0])
def test_what_is_spread_is_coded_without_loss_or_not_at_all(spread: float) -> None:
    data = np.random.default_rng(0).normal(0, spread, 4000).round().astype(np.int8).view(np.uint8)
    found = smallest_code(data)
    assert (found is None) == (spread > 5)
    if found is not None:
        np.testing.assert_array_equal(
            decoded(found.words, found.tables.bits, data.size, signed=found.tables.signed), data
        )


def test_pieces_are_decoded_on_their_own() -> None:
    """What is behind a piece is a code again, with the same tables."""
    data, piece = records(16, lanes=True), 3 * 320
    tables = tables_of(data, 4, signed=True)
    assert tables is not None
    first, words = coded(data[:piece], tables), coded(data, tables, piece)
    np.testing.assert_array_equal(words[: first.size], first)
    rest = np.concatenate([words[: tables.words], words[first.size :]])
    np.testing.assert_array_equal(decoded(rest, 4, data.size - piece, signed=True), data[piece:])


@pytest.mark.parametrize(("few", "others"), [(4 * LONGEST_RUN + 6, 3), (40, 2 * LONGEST_RUN + 5)])
def test_long_runs_are_several(few: int, others: int) -> None:
    some = np.tile(np.array([3, 200, 77, 5], np.uint8), few)
    tables = tables_of(some, 2, signed=False)
    assert tables is not None
    data = np.concatenate([some, np.arange(100, 100 + 4 * others).astype(np.uint8), some[:40]])
    words, at, stood_for, plain = coded(data, tables), tables.words, 0, 0
    while at < words.size:  # to decode a million bytes in Python takes a second; runs say how many words there are
        number, as_it_is = int(words[at]) & LONGEST_RUN, int(words[at]) >> 16
        at, stood_for, plain = at + 1 + number + as_it_is, stood_for + 4 * number, plain + as_it_is
    assert (at, 4 * (stood_for + plain)) == (words.size, data.size)
    assert others <= plain <= others + 9


@pytest.mark.parametrize("size", [0, 4])
def test_next_to_nothing(size: int) -> None:
    data = np.zeros(size, np.uint8)
    found = smallest_code(data)
    if found is not None:
        np.testing.assert_array_equal(decoded(found.words, found.tables.bits, size, signed=False), data)
