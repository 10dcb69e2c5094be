"""ONE_HOT against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import MoveModel
from tests.ops.oracle import seeds, thorough


@thorough
@given(
    st.sampled_from(["int8", "uint8", "int32", "int64", "bool", "float32"]), st.sampled_from(["int32", "int64"]),
    st.integers(0, 3), seeds,
)  # fmt: skip
def test_axes(dtype, index_type, rank, seed):
    m = MoveModel(seed)
    indices = np.array(m.rng.integers(-1, 5, tuple(m.rng.integers(1, 4, rank))), index_type)
    axis, depth = int(m.rng.integers(rank + 1)), int(m.rng.integers(1, 6))
    i = m.given(indices)
    m.output((*indices.shape[:axis], depth, *indices.shape[axis:]), dtype)
    values = [m.builder.constant(np.array(v, dtype), 0.5 if dtype == "int8" else None) for v in (1, 0)]
    m.op("ONE_HOT", [i, m.known(depth), *values], Axis=-1 if axis == rank else axis)
    m.check()
