"""GATHER and EMBEDDING_LOOKUP against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import UnsupportedError
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.gather import Gather


@thorough
@given(
    st.sampled_from(TYPES), st.sampled_from(["int32", "int64"]), st.integers(0, 2), st.integers(0, 2),
    st.integers(0, 2), st.booleans(), seeds,
)  # fmt: skip
def test_any_axis(dtype, index_type, batch, outer, rank, known, seed):
    m = MoveModel(seed)
    axis = batch + outer
    shape = tuple(int(n) for n in m.rng.integers(1, 5, axis + 1 + int(m.rng.integers(2))))
    wanted = (*shape[:batch], *(int(n) for n in m.rng.integers(1, 5, rank)))
    indices = np.array(m.rng.integers(0, shape[axis], wanted), index_type)
    x, i = m.input(shape, dtype), m.known(indices, index_type) if known else m.given(indices)
    m.output((*shape[:axis], *wanted[batch:], *shape[axis + 1 :]), dtype)
    m.op("GATHER", [x, i], version=5 if batch else 2, Axis=axis, BatchDims=batch)
    m.check()


@pytest.mark.parametrize("dtype", TYPES)
def test_embedding_lookup(dtype):
    m = MoveModel(0)
    i, table = m.given(np.array([3, 0, 3], np.int32)), m.known(m.rng.integers(0, 2, (4, 5)), dtype)
    m.output((3, 5), dtype)
    m.op("EMBEDDING_LOOKUP", [i, table])
    m.check()


def test_a_table_of_another_type():
    m = MoveModel(0)
    i, table = m.given(np.array([3], np.int32)), m.known(np.ones((4, 5)), "int16")
    m.output((1, 5), "float32")
    m.op("EMBEDDING_LOOKUP", [i, table])
    with pytest.raises(UnsupportedError, match="the table is int16 and the output float32"):
        m.check()


@pytest.mark.parametrize("index", [-1, 4])
def test_a_constant_index_outside(index):
    m = MoveModel(0)
    x = m.input((4, 5), "int8")
    m.output((1, 5), "int8")
    m.op("GATHER", [x, m.known([index])], Axis=0)
    with pytest.raises(UnsupportedError, match=f"reads index {index} of 4"):
        m.check()


def test_a_computed_index_outside_reads_the_nearest():
    x, indices = TensorType((3,), INT8), TensorType((4,), INT32)
    sig = Signature((x, indices), (TensorType((4,), INT8),))
    values = np.array([10, 20, 30], np.int8), np.array([-7, 1, 3, 2**31 - 1], np.int32)
    assert Gather(0).evaluate(sig, values)[0].tolist() == [10, 20, 30, 30]
