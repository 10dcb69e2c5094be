"""BROADCAST_TO, FILL, ZEROS_LIKE, RANGE, BROADCAST_ARGS and WHERE against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8
from tinycompile.errors import UnsupportedError
from tinycompile.ir import TensorType
from tinycompile.ops.broadcast_to import BroadcastTo


@thorough
@given(st.sampled_from(TYPES), st.integers(0, 5), st.sampled_from(["int32", "int64"]), seeds)
def test_broadcast_to(dtype, rank, index_type, seed):
    m = MoveModel(seed)
    result = tuple(int(n) for n in m.rng.integers(1, 4, rank))
    shape = tuple(1 if m.rng.random() < 0.5 else n for n in result)[int(m.rng.integers(rank + 1)) :]
    x = m.input(shape, dtype)
    m.output(result, dtype)
    m.op("BROADCAST_TO", [x, m.known(result, index_type)], version=2)
    m.check()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("known", [True, False])
def test_fill(dtype, known):
    m = MoveModel(1)
    x = m.known(m.rng.integers(0, 2), dtype) if known else m.input((), dtype)
    m.output((2, 3), dtype)
    m.op("FILL", [m.known([2, 3], "int64"), x])
    m.check()


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_zeros_like(dtype):
    m = MoveModel(1)
    x = m.input((2, 3), dtype)
    m.output((2, 3), dtype)
    m.op("ZEROS_LIKE", [x])
    m.check()


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize("bounds", [(0, 5, 1), (7, -3, -2), (2, 3, 5), (-4, 9, 3)])
def test_range(dtype, bounds):
    m = MoveModel(1)
    m.output(np.arange(*bounds).shape, dtype)
    m.op("RANGE", [m.known(bound, dtype) for bound in bounds], version=1 if dtype != "int64" else 2)
    m.check()


@pytest.mark.parametrize("bounds", [(0, 5, 0), (0, 5, -1), (0, 1 << 30, 1)])
def test_range_without_end_or_beginning(bounds):
    m = MoveModel(1)
    m.output((1,), "int32")
    m.op("RANGE", [m.known(bound) for bound in bounds])
    with pytest.raises(UnsupportedError, match=r"it counts from|no elements"):
        m.check()


@pytest.mark.parametrize("shapes", [([2, 1, 3], [4, 1]), ([5], [1, 5]), ([3, 2], [2])])
def test_broadcast_args(shapes):
    m = MoveModel(1)
    m.output((len(np.broadcast_shapes(*map(tuple, shapes))),), "int32")
    m.op("BROADCAST_ARGS", [m.known(shape) for shape in shapes])
    m.check()


def test_where_of_a_constant():
    m = MoveModel(1)
    condition = m.rng.random((3, 4)) < 0.5
    m.output((np.count_nonzero(condition), 2), "int64")
    m.op("WHERE", [m.known(condition, "bool")])
    m.check()


def test_where_of_what_is_computed_has_no_shape():
    m = MoveModel(1)
    x = m.input((3, 4), "bool")
    m.output((5, 2), "int64")
    m.op("WHERE", [x])
    with pytest.raises(UnsupportedError, match="known when the model is compiled"):
        m.check()


@pytest.mark.parametrize("shape", [(3, 2), (2, -3), (1 << 14, 1 << 15, 3)])
def test_shapes_that_fit(shape):
    with pytest.raises(ValueError, match=r"broadcast|no tensor"):
        BroadcastTo(shape).infer([TensorType((2, 3), INT8)])
