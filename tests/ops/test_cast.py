"""CAST against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.moves import TYPES, MoveModel

ENDS = {
    "float32": [
        0.0,
        -0.0,
        0.5,
        1.7,
        -1.7,
        127.9,
        255.6,
        -128.5,
        300.5,
        3e9,
        -3e9,
        1e19,
        -1e19,
        np.inf,
        -np.inf,
        np.nan,
    ],
    "bool": [True, False],
    "int64": [0, -1, 128, 255, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63)],
    "int32": [0, -1, 128, 255, 256, 70000, 2**31 - 1, -(2**31)],
}


@pytest.mark.parametrize("x", TYPES)
@pytest.mark.parametrize("y", TYPES)
def test_types(x, y):
    m = MoveModel(0)
    low, high = (np.iinfo(x).min, np.iinfo(x).max) if x[-1] in "8246" and x != "float32" else (0, 0)
    values = np.array(ENDS.get(x, [low, -1 if low else 0, 0, 1, high]), x)
    index = m.given(values)
    m.output(values.shape, y)
    m.op("CAST", [index])
    m.check()
