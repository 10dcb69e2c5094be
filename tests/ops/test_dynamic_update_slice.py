"""DYNAMIC_UPDATE_SLICE against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import TensorType
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice


@thorough
@given(
    st.sampled_from([t for t in TYPES if t not in ("uint8", "int16")]), st.sampled_from(["int32", "int64"]),
    st.integers(1, 5), seeds,
)  # fmt: skip
def test_places_inside_and_outside(dtype, index_type, rank, seed):
    m = MoveModel(seed)
    shape = tuple(int(n) for n in m.rng.integers(1, 5, rank))
    x, update = m.input(shape, dtype), m.input(tuple(int(m.rng.integers(1, n + 1)) for n in shape), dtype)
    begin = m.given(np.array(m.rng.integers(-2, 6, rank), index_type))
    m.output(shape, dtype)
    m.op("DYNAMIC_UPDATE_SLICE", [x, update, begin], version=1)
    m.check()


def test_a_piece_that_fits():
    x, begin = TensorType((2, 3), INT8), TensorType((2,), INT32)
    with pytest.raises(ValueError, match="at the place"):
        DynamicUpdateSlice().infer([x, TensorType((2, 4), INT8), begin])
