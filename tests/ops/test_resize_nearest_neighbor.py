"""RESIZE_NEAREST_NEIGHBOR against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, thorough
from tests.support.tflite_builder import TfliteBuilder

sizes = st.tuples(st.integers(1, 20), st.integers(1, 20))
modes = [(False, False), (True, False), (False, True)]


@thorough
@given(sizes, sizes, st.sampled_from(modes))
def test_random(size, resized, mode):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x, y = b.tensor((1, *size, 3), 0.1, 3), b.tensor((1, *resized, 3), 0.1, 3)
    wanted = b.constant(np.array(resized, np.int32))
    b.op("RESIZE_NEAREST_NEIGHBOR", [x, wanted], [y], AlignCorners=mode[0], HalfPixelCenters=mode[1])
    check(b, [y], {x: full_range(rng, (1, *size, 3))})
