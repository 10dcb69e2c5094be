"""RESIZE_NEAREST_NEIGHBOR against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, thorough
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import Region, Signature, TensorType
from tinycompile.ops.resize_nearest_neighbor import ResizeNearestNeighbor

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


@pytest.mark.parametrize("mode", modes)
def test_region_covers_the_sources(mode):
    op = ResizeNearestNeighbor((11, 17), *mode)
    sig = Signature((TensorType((1, 5, 6, 1), INT8),), (TensorType((1, 11, 17, 1), INT8),))
    region = op.input_region(sig, Region(2, 7, 3, 4), 0)
    rows, columns = op.source_rows(sig), op.source_columns(sig)
    assert (region.y0, region.y1) == (rows[2:7].min(), rows[2:7].max() + 1)
    assert (region.x0, region.x1) == (columns[3], columns[3] + 1)
