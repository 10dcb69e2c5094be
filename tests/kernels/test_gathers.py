"""Operators that a tensor of integers tells where to read or write, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, random_values, site_of
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8
from tinycompile.ir import Array, Op, TensorType
from tinycompile.kernels.base import Factory
from tinycompile.kernels.gathers import dynamic_update_slice, gather, gather_nd, one_hot, scatter_nd
from tinycompile.ops.dynamic_update_slice import DynamicUpdateSlice
from tinycompile.ops.gather import Gather
from tinycompile.ops.gather_nd import GatherND
from tinycompile.ops.one_hot import OneHot
from tinycompile.ops.scatter_nd import ScatterND

TYPES = (INT8, UINT8, INT16, INT32, INT64, BOOL, FLOAT32)
thorough = settings(max_examples=12, deadline=None, derandomize=True)
types, index_types, seeds = st.sampled_from(TYPES), st.sampled_from([INT16, INT32, INT64]), st.integers(0, 999)
constants = st.sets(st.integers(0, 1), max_size=1)


def run(factory: Factory, op: Op, values: list[Array], types: list[TensorType], known: set[int], y: TensorType) -> None:
    """Every sharing; some operands are constants."""
    site = site_of(op, types, [v if i in known else None for i, v in enumerate(values)], y)
    kernel = factory(site, M7)
    assert kernel is not None
    (expected,) = op.evaluate(site.sig, values)
    for share in (None, *kernel.distances):
        operands = [None if i in known else v for i, v in enumerate(values)]
        actual = run_kernel(kernel, operands, site.sig.output, share_operand=share, sanitize=True)
        np.testing.assert_array_equal(actual, expected)


def indices_for(rng: np.random.Generator, shape: tuple[int, ...], sizes: list[int], dtype) -> Array:
    """Mostly inside of each axis of the last axis's coordinates, some outside."""
    found = rng.integers(-1, np.array(sizes) + 1, shape)
    return np.where(rng.random(shape) < 0.1, rng.choice([-30000, 30000], shape), found).astype(dtype.carrier)


@thorough
@given(types, index_types, st.integers(0, 2), st.integers(0, 2), st.integers(0, 2), constants, seeds)
def test_gather(dtype, index_dtype, batch, outer, rank, known, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, batch + outer + 1 + int(rng.integers(3))))
    wanted = (*shape[:batch], *(int(n) for n in rng.integers(1, 5, rank)))
    x, t = TensorType(shape, dtype), TensorType(wanted, index_dtype)
    indices = indices_for(rng, (*wanted, 1), [shape[batch + outer]], index_dtype).reshape(wanted)
    run(gather, Gather(batch + outer, batch), [random_values(x, rng), indices], [x, t], known, x)


@thorough
@given(types, index_types, st.integers(1, 4), constants, seeds)
def test_gather_nd(dtype, index_dtype, axes, known, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, axes + int(rng.integers(3))))
    wanted = (*(int(n) for n in rng.integers(1, 4, int(rng.integers(3)))), axes)
    x, t = TensorType(shape, dtype), TensorType(wanted, index_dtype)
    values = [random_values(x, rng), indices_for(rng, wanted, list(shape[:axes]), index_dtype)]
    run(gather_nd, GatherND(), values, [x, t], known, x)


@thorough
@given(types, index_types, st.integers(1, 3), constants, seeds)
def test_scatter_nd(dtype, index_dtype, axes, known, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 4, axes + int(rng.integers(3))))
    wanted = (*(int(n) for n in rng.integers(1, 5, int(rng.integers(3)))), axes)
    t, updates = TensorType(wanted, index_dtype), TensorType((*wanted[:-1], *shape[axes:]), dtype)
    values = [indices_for(rng, wanted, list(shape[:axes]), index_dtype), random_values(updates, rng)]
    run(scatter_nd, ScatterND(shape), values, [t, updates], known, updates)


@thorough
@given(types, index_types, st.integers(1, 6), st.sets(st.integers(0, 2), max_size=2), seeds)
def test_dynamic_update_slice(dtype, index_dtype, rank, known, seed):
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.integers(1, 5, rank))
    x, update = TensorType(shape, dtype), TensorType(tuple(int(rng.integers(1, n + 1)) for n in shape), dtype)
    begin = TensorType((rank,), index_dtype)
    values = [random_values(x, rng), random_values(update, rng), rng.integers(-2, 6, rank).astype(index_dtype.carrier)]
    run(dynamic_update_slice, DynamicUpdateSlice(), values, [x, update, begin], known, x)


@thorough
@given(types, index_types, st.integers(0, 3), seeds)
def test_one_hot(dtype, index_dtype, rank, seed):
    rng = np.random.default_rng(seed)
    indices = TensorType(tuple(int(n) for n in rng.integers(1, 5, rank)), index_dtype)
    op = OneHot(int(rng.integers(rank + 1)), int(rng.integers(1, 6)), 1, 0, dtype)
    values = rng.integers(-1, op.depth + 1, indices.shape).astype(index_dtype.carrier)
    run(one_hot, op, [np.asarray(values)], [indices], set(), TensorType((), dtype))


@pytest.mark.parametrize("on", [-1.5, 0.1, 3.0])
def test_one_hot_of_floats(on):
    indices = TensorType((4,), INT32)
    check(one_hot, site_of(OneHot(1, 3, on, -on, FLOAT32), [indices], [None], TensorType((), FLOAT32)))
