"""How often Python looks for garbage that holds itself."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager

MANY = 100_000
"""Objects that planning a small network makes: after so many more Python looks again, not after a few hundred."""


@contextmanager
def collected_rarely() -> Generator[None]:
    """For work that makes many objects which are kept for long: looking through all of them again and again takes a
    sixth of its time. Where collecting is off it stays so.
    """
    before = gc.get_threshold()
    if before[0]:
        gc.set_threshold(max(MANY, before[0]), *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
