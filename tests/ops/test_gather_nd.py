"""GATHER_ND against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough


@thorough
@given(st.sampled_from(TYPES), st.sampled_from(["int32", "int64"]), st.integers(1, 4), st.booleans(), seeds)
def test_coordinates(dtype, index_type, axes, known, seed):
    m = MoveModel(seed)
    shape = tuple(int(n) for n in m.rng.integers(1, 5, axes + int(m.rng.integers(2))))
    outer = tuple(int(n) for n in m.rng.integers(1, 4, int(m.rng.integers(3))))
    indices = m.rng.integers(0, shape[:axes], (*outer, axes)).astype(index_type)
    x, i = m.input(shape, dtype), m.known(indices, index_type) if known else m.given(indices)
    m.output((*outer, *shape[axes:]), dtype)
    m.op("GATHER_ND", [x, i])
    m.check()


def test_nothing_else_is_read():
    import pytest

    from tinycompile.errors import UnsupportedError

    m = MoveModel(0)
    x = m.input((4, 5), "int8")
    m.output((1,), "int8")
    m.op("GATHER_ND", [x, m.known(np.array([[1, 5]]))])
    with pytest.raises(UnsupportedError, match="reads index 5 of 5"):
        m.check()
