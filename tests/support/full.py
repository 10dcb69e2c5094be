"""What `make test` leaves out and `make test-full` runs: sanitizers in optimised code, and cases that take the path of
others on one more core, level, seed or size.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from typing import TypeVar

FULL = os.environ.get("TESTS") == "full"
T = TypeVar("T")
First = TypeVar("First", bound=Hashable)


def also(*cases: T) -> tuple[T, ...]:
    """For the list of a test's cases: those that only `make test-full` runs."""
    return cases if FULL else ()


def some(cases: Sequence[tuple[First, T]], step: int = 5) -> list[tuple[First, T]]:
    """One for each first element, such as a kernel, and each `step`th; all with `make test-full`."""
    if FULL:
        return list(cases)
    first = {case[0]: index for index, case in reversed(list(enumerate(cases)))}
    return [case for index, case in enumerate(cases) if index % step == 0 or first[case[0]] == index]
