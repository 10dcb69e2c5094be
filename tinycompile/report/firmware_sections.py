"""Sections of a report about a model that has others beside it in its firmware."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TogetherSection:
    """What the models of a firmware have together: the largest arena and scratch, all states."""

    arena_bytes: int
    scratch_bytes: int
    state_bytes: int


@dataclass(frozen=True)
class WidthSection:
    """Of one of a network's widths.

    Attributes:
        of: what all widths together are called. percent: of the widest one's channels.
        constant_bytes: of its own. shared_bytes: of its constants that are the widest one's.
        flash_bytes: of its own: constants, and functions that no wider network has; without the tables inside of these.
    """

    of: str
    percent: float
    constant_bytes: int
    shared_bytes: int
    flash_bytes: int
    instructions_estimate: int
