"""SCATTER_ND against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8, INT32
from tinycompile.ir import TensorType
from tinycompile.ops.scatter_nd import ScatterND


@thorough
@given(st.sampled_from(["int8", "uint8", "int32", "int64", "float32", "bool"]), st.integers(1, 3), st.booleans(), seeds)
def test_coordinates_that_meet(dtype, axes, known, seed):
    m = MoveModel(seed)
    shape = tuple(int(n) for n in m.rng.integers(1, 4, axes + int(m.rng.integers(2))))
    outer = (int(m.rng.integers(1, 6)),)
    indices = m.rng.integers(0, shape[:axes], (*outer, axes)).astype("int32")
    i, updates = m.known(indices) if known else m.given(indices), m.input((*outer, *shape[axes:]), dtype)
    m.output(shape, dtype)
    m.op("SCATTER_ND", [i, updates, m.known(shape)])
    m.check()


@pytest.mark.parametrize(("shape", "updates"), [((4,), (3, 1)), ((4, 2), (2, 2)), ((-1,), (3,))])
def test_shapes_that_fit(shape, updates):
    with pytest.raises(ValueError, match=r"no tensor|coordinates"):
        ScatterND(shape).infer([TensorType((3, 1), INT32), TensorType(updates, INT8)])
