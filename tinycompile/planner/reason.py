"""Why a kernel was chosen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a kernel was chosen.

    Attributes:
        text: for the report.
        squeezed: there is a faster one, which needs more RAM.
    """

    text: str
    squeezed: bool = False
