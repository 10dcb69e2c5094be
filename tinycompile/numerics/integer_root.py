"""Square roots of integers, rounded as TFLM's signal operators do."""

from __future__ import annotations

import math


def rounded_root(value: int) -> int:
    """The integer nearest to the root of a number of 64 bits; but of one that fits in 32 bits at most 65535, since its
    root is then kept in 16, and at most 2^32 - 1 of others.
    """
    root = math.isqrt(value)
    most = 0xFFFF if value < 1 << 32 else 0xFFFFFFFF
    return root + (value - root * root > root and root != most)
