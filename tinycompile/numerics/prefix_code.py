"""Canonical Huffman codes of bytes, no code longer than a limit: how constants take less flash, and lose nothing.

Codes of limited length by the package-merge algorithm (Larmore and Hirschberg, 1990), which is optimal: a limit of 10
bits costs constants of 8 bits next to nothing, and a decoder needs one look into a table of 1024 entries for a byte.
Canonical codes follow from their lengths alone: shorter ones are smaller numbers, equally long ones in the order of
bytes. `decoded` states the format; `runtime/kernels/tc_coded.h` is the same in C.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinycompile.numerics.fixed_point import IntegerArray

LONGEST = 10
"""Bits of a code, at most: three of them are in a word of 32 bits wherever they begin."""

BYTES = 256

LENGTH_WORDS = BYTES // 8
"""Words in front of the codes: the length of each byte's code, 4 bits each, the lowest first; 0 for none."""

SPARE_WORDS = 1
"""Behind the codes: the decoder has two words in its hands."""


def entropy(counts: IntegerArray) -> float:
    """Bits that no code of single bytes needs fewer than, for all of them.

    Args:
        counts: int64[256]: how often each byte occurs.
    """
    used = counts[counts > 0].astype(np.float64)
    return float((used * np.log2(used.sum() / used)).sum()) if used.size else 0.0


def code_lengths(counts: IntegerArray, longest: int = LONGEST) -> IntegerArray:
    """The lengths with which all bytes take the fewest bits.

    Args:
        counts: int64[256]: how often each byte occurs.
        longest: at least 8, so that every byte can have a code.

    Returns:
        int64[256], 0 where a byte doesn't occur; at least 1 where it does.
    """
    used = np.flatnonzero(counts)
    if used.size <= 1:
        return (counts > 0).astype(np.int64)
    order = used[np.argsort(counts[used], kind="stable")]
    single = [(int(counts[byte]), position) for position, byte in enumerate(order)]
    rows = np.eye(order.size, dtype=np.int64)
    weights, members = [weight for weight, _ in single], rows
    for _ in range(longest - 1):
        pairs = len(weights) // 2
        paired = [weights[2 * pair] + weights[2 * pair + 1] for pair in range(pairs)]
        packages = members[: 2 * pairs : 2] + members[1 : 2 * pairs : 2]
        every = np.array([weight for weight, _ in single] + paired)
        merged = np.argsort(every, kind="stable")
        weights, members = every[merged].tolist(), np.concatenate([rows, packages])[merged]
    found = np.zeros(BYTES, np.int64)
    found[order] = members[: 2 * order.size - 2].sum(axis=0)
    return found


def canonical_codes(lengths: IntegerArray) -> IntegerArray:
    """int64[256]: each byte's code, as a number of so many bits."""
    codes, code, before = np.zeros(BYTES, np.int64), 0, 0
    for byte in sorted(np.flatnonzero(lengths), key=lambda byte: (lengths[byte], byte)):
        code <<= int(lengths[byte]) - before
        codes[byte], before = code, int(lengths[byte])
        code += 1
    return codes


def coded_words(counts: IntegerArray) -> int:
    """How many words `coded` takes for bytes that occur so often."""
    bits = int((counts * code_lengths(counts)).sum())
    return LENGTH_WORDS + -(-bits // 32) + SPARE_WORDS


def coded(data: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """uint8[n] as uint32[coded_words]: lengths, then codes one after another, the highest bit of a word first."""
    counts = np.bincount(data, minlength=BYTES)
    lengths = code_lengths(counts)
    each, codes = lengths[data], canonical_codes(lengths)[data]
    starts = np.cumsum(each) - each
    bits = np.zeros(32 * (coded_words(counts) - LENGTH_WORDS), np.uint8)
    for position in range(LONGEST):
        there = position < each
        bits[starts[there] + position] = (codes[there] >> (each[there] - 1 - position)) & 1
    stream = np.packbits(bits).view(">u4").astype(np.uint32)
    nibbles = lengths.reshape(LENGTH_WORDS, 8) << np.arange(0, 32, 4)
    return np.concatenate([nibbles.sum(axis=1).astype(np.uint32), stream])


def decoding_table(words: NDArray[np.uint32]) -> NDArray[np.uint16]:
    """uint16[2 ** LONGEST]: of the next bits, the byte above the length of its code.

    What no code begins with is byte 0 with the longest one, lengths that can't be are none, codes that have no place in
    the table are left out. So there is a table for any words.
    """
    lengths = ((words[:LENGTH_WORDS, None] >> np.arange(0, 32, 4, dtype=np.uint32)) & 15).ravel()
    entries = [
        np.full(1 << (LONGEST - length), (int(byte) << 8) | length, np.uint16)
        for length in range(1, LONGEST + 1)
        for byte in np.flatnonzero(lengths == length)
    ]
    rest = np.full(1 << LONGEST, LONGEST, np.uint16)
    return np.concatenate([*entries, rest])[: 1 << LONGEST]


def decoded(words: NDArray[np.uint32], size: int) -> NDArray[np.uint8]:
    """uint8[size] of `coded`; behind the last word it goes on as if this were repeated, so any words are something."""
    table, stream = decoding_table(words), words[LENGTH_WORDS:].tolist()
    last, at, found = len(stream) - 1, 0, np.zeros(size, np.uint8)
    for position in range(size):
        index = at >> 5
        both = stream[min(index, last)] << 32 | stream[min(index + 1, last)]
        entry = int(table[(both >> (64 - LONGEST - (at & 31))) & ((1 << LONGEST) - 1)])
        found[position] = entry >> 8
        at += entry & 255
    return found
