"""LOGICAL_AND against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare


def test_all_pairs():
    both = np.array([True, False])
    compare("LOGICAL_AND", [both.reshape(2, 1), both])
