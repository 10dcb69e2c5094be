"""Codes for constants of few different values: indices of 2 or 4 bits into tables of these, which lose nothing.

Kernels store weights as bytes, or as lanes of 16 bits that are 256 w1 + w0, and both with words of other constants in
between. So a code is of halfwords, `(high << 8) + low`, each of whose parts is one of 4 or 16 values of a table of its
own; `low` is signed in lanes. Words that aren't made of these values stay as they are.
`runtime/kernels/tc_table_coded.h` decodes the same format:

    code     tables, then runs
    tables   bytes: the values of `low`, then those of `high`
    run      a word: words of indices in its lower half, words that follow as they are in its upper half; these words
    indices  of 2 bits or 4, for `low` below that for `high`, from a word's lowest bits up
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import IntegerArray

INDEX_BITS = (2, 4)

LONGEST_RUN = 0xFFFF
"""Words of indices, and words behind them as they are."""

LEAST_COMMON = 0.5
"""Of all low bytes, which the most frequent ones have at least; the rest may be other constants."""


@dataclass(frozen=True, eq=False)
class Tables:
    """The values that have an index.

    Attributes:
        low: int64, at most 2 ** bits: signed or unsigned bytes. high: the same of bytes above, -128 to 127.
        signed: whether `low` is.
    """

    bits: int
    low: IntegerArray
    high: IntegerArray
    signed: bool

    @property
    def words(self) -> int:
        """That they take in a code."""
        return (2 << self.bits) // 4


def parts_of(data: NDArray[np.uint8], *, signed: bool) -> tuple[IntegerArray, IntegerArray]:
    """(low, high) of the halfwords of a multiple of 2 bytes: int64, with `(high << 8) + low` equal to them mod 2^16."""
    halves = np.ascontiguousarray(data).view("<u2").astype(np.int64)
    low = halves & 0xFF
    low = np.where(signed & (low > 127), low - 256, low)
    high = ((halves - low) >> 8) & 0xFF
    return low, np.where(high > 127, high - 256, high)


def tables_of(data: NDArray[np.uint8], bits: int, *, signed: bool) -> Tables | None:
    """Tables with which many words of the data are coded; None where even the most frequent values are in few.

    Values leave the tables one by one, the rarest among words that are still coded first: so what other constants
    consist of doesn't take the places of weights.

    Args:
        data: uint8, a multiple of 4.
    """
    size = 1 << bits
    low, high = (part.reshape(-1, 2) for part in parts_of(data, signed=signed))
    if np.sort(np.bincount(low.ravel() & 0xFF))[-size:].sum() < LEAST_COMMON * low.size:
        return None
    while True:
        counts = [np.bincount(part.ravel() + 128, minlength=384) for part in (low, high)]
        over = [int((count > 0).sum()) - size for count in counts]
        if max(over) <= 0:
            found = [np.flatnonzero(count) - 128 for count in counts]
            return Tables(bits, found[0], found[1], signed) if low.size else None
        number = int(np.argmax(over))
        used = np.flatnonzero(counts[number])
        # Half of what is too many at a time: what leaves takes others with it.
        rarest = used[np.argsort(counts[number][used], kind="stable")[: -(-over[number] // 2)]]
        part = (low, high)[number]
        kept = ~np.isin(part + 128, rarest).any(axis=1)
        low, high = low[kept], high[kept]


def coded(data: NDArray[np.uint8], tables: Tables, piece: int | None = None) -> NDArray[np.uint32]:
    """The code of bytes.

    Args:
        data: uint8, a multiple of 4.
        piece: bytes, a multiple of 4, that are decoded at a time: no run goes on behind a multiple of them.
    """
    low, high = parts_of(data, signed=tables.signed)
    inside = np.all((np.isin(low, tables.low) & np.isin(high, tables.high)).reshape(-1, 2), axis=1)
    halves = np.searchsorted(tables.low, low) | np.searchsorted(tables.high, high) << tables.bits
    words = np.ascontiguousarray(data).view("<u4")
    parts = [_table_words(tables)]
    length = words.size if piece is None else piece // 4
    for begin in range(0, words.size, max(1, length)):
        end = min(begin + length, words.size)
        parts += _runs(inside[begin:end], halves[2 * begin : 2 * end], words[begin:end], tables.bits)
    return np.concatenate(parts).astype(np.uint32)


@dataclass(frozen=True, eq=False)
class TableCode:
    """A code, and what it consists of.

    Attributes:
        words: uint32, of all of it. indices: words of indices. plain: words as they are. runs: how many.
    """

    tables: Tables
    words: NDArray[np.uint32]
    runs: int
    indices: int
    plain: int


def smallest_code(data: NDArray[np.uint8], piece: int | None = None) -> TableCode | None:
    """The smallest code with indices of 2 or 4 bits; None where no few values make up most of the data.

    Args:
        data, piece: as in `coded`.
    """
    best: TableCode | None = None
    for bits in INDEX_BITS:
        for signed in (False, True):
            tables = tables_of(data, bits, signed=signed)
            if tables is None:
                continue
            words = coded(data, tables, piece)
            if best is None or words.size < best.words.size:
                best = _counted(tables, words)
    return best


def _counted(tables: Tables, words: NDArray[np.uint32]) -> TableCode:
    at, runs, indices, plain = tables.words, 0, 0, 0
    while at < words.size:
        number, as_it_is = int(words[at]) & LONGEST_RUN, int(words[at]) >> 16
        runs, indices, plain = runs + 1, indices + number, plain + as_it_is
        at += 1 + number + as_it_is
    return TableCode(tables, words, runs, indices, plain)


def _table_words(tables: Tables) -> NDArray[np.uint32]:
    values = np.zeros((2, 1 << tables.bits), np.uint8)
    values[0, : tables.low.size], values[1, : tables.high.size] = tables.low & 0xFF, tables.high & 0xFF
    return values.ravel().view("<u4")


def _runs(
    inside: NDArray[np.bool_], halves: IntegerArray, words: NDArray[np.uint32], bits: int
) -> list[NDArray[np.uint32]]:
    """Of a piece: words that have indices, as far as they fill words of these, and words as they are."""
    together = 8 // bits  # words that a word of indices stands for
    groups = _groups(inside, together)
    found, at = list[NDArray[np.uint32]](), 0
    for begin, count in [*groups, (words.size, 0)]:
        for first in range(at, begin, LONGEST_RUN):  # as they are: in the run before, if there is one and room
            last = min(begin, first + LONGEST_RUN)
            if first == at and found:
                found[-2] = found[-2] | np.uint32((last - first) << 16)
            else:
                found += [np.array([(last - first) << 16], np.uint32), words[:0]]
            found.append(words[first:last])
        for first in range(0, count, LONGEST_RUN):
            number = min(count - first, LONGEST_RUN)
            start = begin + first * together
            indices = halves[2 * start : 2 * (start + number * together)].reshape(number, -1)
            packed = (indices << np.arange(0, 32, 2 * bits)).sum(axis=1).astype(np.uint32)
            found += [np.array([number], np.uint32), packed]
        at = begin + count * together
    return found


def _groups(inside: NDArray[np.bool_], together: int) -> list[tuple[int, int]]:
    """(first word, words of indices) of all runs that save more than their own word."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    found = [(int(begin), int(end - begin) // together) for begin, end in edges.reshape(-1, 2)]
    return [(begin, count) for begin, count in found if count * (together - 1) > 1]


def decoded(code: NDArray[np.uint32], bits: int, size: int, *, signed: bool) -> NDArray[np.uint8]:
    """uint8[size] of `coded`, decoded at once; where a code ends before them they are 0, so any words are something.

    Args:
        size: a multiple of 4.
    """
    values = np.frombuffer(code[: (2 << bits) // 4].astype("<u4").tobytes(), np.uint8).astype(np.int64)
    low, high = values[: 1 << bits], values[1 << bits :]
    low = np.where(signed & (low > 127), low - 256, low)
    table = (((high[:, None] << 8) + low).ravel() & 0xFFFF).tolist()
    stream, at, out, mask = code[(2 << bits) // 4 :], 0, list[int](), (1 << 2 * bits) - 1
    wanted, together = size // 4, 8 // bits
    while at < stream.size and len(out) < wanted:
        head = int(stream[at])
        at += 1
        number = min(head & LONGEST_RUN, stream.size - at, (wanted - len(out)) // together)
        for word in stream[at : at + number].tolist():
            halves = [table[word >> shift & mask] for shift in range(0, 32, 2 * bits)]
            out += [halves[i] | halves[i + 1] << 16 for i in range(0, len(halves), 2)]
        at += number
        plain = min(head >> 16, stream.size - at, wanted - len(out))
        out += stream[at : at + plain].tolist()
        at += plain
    return np.array(out + [0] * (wanted - len(out)), np.uint32).astype("<u4").view(np.uint8)
