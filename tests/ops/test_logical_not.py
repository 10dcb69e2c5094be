"""LOGICAL_NOT against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare


def test_both_values():
    compare("LOGICAL_NOT", [np.array([[True, False, True]])])
