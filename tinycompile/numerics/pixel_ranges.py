"""What the values 0 to 255 of a picture are to a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[Any]

MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""Of ImageNet's colours."""

RANGES: Mapping[str, Callable[[Reals], Reals]] = {
    "0-255": lambda x: x,
    "0-1": lambda x: x / 255,
    "-1-1": lambda x: x / 127.5 - 1,
    "imagenet": lambda x: (x / 255 - MEAN) / DEVIATION,
}
"""By name the real numbers of values, whose last axis are the colours."""
