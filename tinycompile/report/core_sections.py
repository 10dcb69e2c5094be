"""What report.json says of two cores that aren't alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class CoreSection:
    """One of two cores that aren't alike, by estimates.

    Attributes:
        milliseconds: that it computes in an inference, waiting for memories included.
    """

    name: str
    clock_hz: int
    milliseconds: float


@dataclass(frozen=True)
class CoreTimesSection:
    """What two cores that aren't alike take, by estimates.

    Attributes:
        meetings_milliseconds: of the first core's, for its cache.
        milliseconds: of an inference, with what they wait for each other.
        layers: what each core takes for each layer.
    """

    cores: Sequence[CoreSection]
    meetings_milliseconds: float
    milliseconds: float
    layers: Sequence[tuple[float, float]]
