"""Layers that two cores compute together: not a half each, but a part of every step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Together:
    """How two cores compute a layer together, each a part of every step.

    The function is called by both, with the meeting and the core as its last arguments. Working memory is common to
    both. In front of their first meeting in it they read operands and write working memory alone, behind the last one
    they read that and write what is theirs of the output alone.

    Attributes:
        meetings: how often they meet in it.
        channels: of the output, which each of them writes.
        last_is_copied: what they write behind the last meeting are all channels, of some rows, and each reads working
            memory alone.
    """

    meetings: int
    channels: tuple[range, range]
    last_is_copied: bool = False
