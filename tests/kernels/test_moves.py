"""Operators that move elements: the operand's own memory, or a copy by loops, against their definitions."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.host_kernel import run_kernel
from tests.support.kernel_checks import M7, check, check_all, random_values, site_of
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8, DType
from tinycompile.ir import Op, TensorType
from tinycompile.kernels.cast import cast, same_bits
from tinycompile.kernels.index_map import factored
from tinycompile.kernels.moves import moved, view
from tinycompile.ops.batch_to_space import BatchToSpace
from tinycompile.ops.broadcast_to import BroadcastTo
from tinycompile.ops.cast import Cast
from tinycompile.ops.depth_to_space import DepthToSpace
from tinycompile.ops.mirror_pad import MirrorPad
from tinycompile.ops.repeat import Repeat
from tinycompile.ops.slice import Slice
from tinycompile.ops.space_to_batch import SpaceToBatch
from tinycompile.ops.space_to_depth import SpaceToDepth

TYPES = (INT8, UINT8, INT16, INT32, INT64, BOOL, FLOAT32)
Shape = tuple[int, ...]


def slices(rng: np.random.Generator, shape: Shape) -> Op:
    begins, sizes, steps = list[int](), list[int](), list[int]()
    for length in shape:
        ends = rng.integers(0, length, 2)
        step = int(rng.integers(1, 3)) if ends[0] <= ends[1] else -int(rng.integers(1, 3))
        begins.append(int(ends[0]))
        sizes.append(abs(int(ends[1]) - int(ends[0])) // abs(step) + 1)
        steps.append(step)
    return Slice(tuple(begins), tuple(sizes), tuple(steps))


def tiles(rng: np.random.Generator, shape: Shape) -> Op:
    return Repeat(tuple(int(n) for n in rng.integers(1, 3, len(shape))))


def broadcasts(rng: np.random.Generator, shape: Shape) -> Op:
    return BroadcastTo((2, *(n if n != 1 else int(rng.integers(1, 4)) for n in shape)))


def mirrors(rng: np.random.Generator, shape: Shape) -> Op:
    mode = "reflect" if rng.random() < 0.5 else "symmetric"
    most = [n - (mode == "reflect") for n in shape]
    return MirrorPad(tuple((int(rng.integers(n + 1)), int(rng.integers(n + 1))) for n in most), mode)


def random_shape(rng: np.random.Generator, rank: int) -> Shape:
    return tuple(int(n) for n in rng.choice([1, 1, 2, 3, 4, 6], rank))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.sampled_from([slices, tiles, broadcasts, mirrors]), st.integers(0, 6), st.sampled_from(TYPES), st.integers(0))
def test_any_rank_and_type(make, rank, dtype, seed):
    rng = np.random.default_rng(seed)
    x = TensorType(random_shape(rng, rank), dtype)
    site = site_of(make(rng, x.shape), [x], [None], x)
    if prod(site.sig.output.shape) < 5000:
        check(moved, site, seed=seed % 1000)


@pytest.mark.parametrize("dtype", [INT8, FLOAT32], ids=str)
@pytest.mark.parametrize(
    ("op", "shape"),
    [
        (SpaceToDepth(2), (2, 4, 6, 3)),
        (SpaceToDepth(3), (1, 3, 3, 1)),
        (DepthToSpace(2), (2, 2, 3, 12)),
        (DepthToSpace(3), (1, 1, 1, 9)),
        (SpaceToBatch((2, 3)), (2, 4, 6, 5)),
        (SpaceToBatch((2,)), (2, 4, 3)),
        (SpaceToBatch((2, 1, 2)), (1, 4, 2, 6, 2, 2)),
        (BatchToSpace((2, 3), ((1, 0), (0, 2))), (12, 2, 2, 5)),
        (BatchToSpace((2,), ((0, 1),)), (4, 4, 3)),
    ],
)
def test_blocks(op, shape, dtype):
    x = TensorType(shape, dtype)
    check(moved, site_of(op, [x], [None], x))


def test_what_lies_side_by_side_is_the_operands_memory():
    x = TensorType((1, 4, 3, 2), INT16)
    piece = view(site_of(Slice((0, 1, 0, 0), (1, 2, 3, 2), (1, 1, 1, 1)), [x], [None], x), M7)
    assert piece is not None and (piece.alias_of, piece.alias_offset, piece.function) == (0, 12, None)
    assert view(site_of(Slice((0, 0, 1, 0), (1, 2, 2, 2), (1, 1, 1, 1)), [x], [None], x), M7) is None
    assert view(site_of(Slice((0, 3, 0, 0), (1, 2, 3, 2), (1, -1, 1, 1)), [x], [None], x), M7) is None
    element = view(site_of(Slice((0, 3, 2, 1), (1,) * 4, (1,) * 4), [x], [None], x), M7)
    assert element is not None and element.alias_offset == 46


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(2, 5), st.booleans()), max_size=5), st.integers(0))
def test_loops_of_any_map_yield_it_again(parts, seed):
    rng, found = np.random.default_rng(seed), np.array([seed % 100], np.int64)
    for size, regular in parts:
        places = np.arange(size) * int(rng.integers(-9, 9)) if regular else rng.integers(-50, 50, size)
        found = (found[:, None] + places - places[0]).ravel()
    loops = factored(found)
    np.testing.assert_array_equal(loops.map(), found)
    np.testing.assert_array_equal(loops.within(1).map(), found)
    if all(regular for _, regular in parts):
        assert len(loops.loops) <= len(parts)


def test_more_axes_than_loops():
    """Every second element of seven axes that can't be merged: the outermost two are one loop with a table."""
    x = TensorType((3,) * 7, INT8)
    op = Slice((0,) * 7, (2,) * 7, (2,) * 7)
    kernel = check(moved, site_of(op, [x], [None], x))
    assert len(kernel.constants) == 1


@pytest.mark.parametrize("share", [None, 0])
def test_in_the_operands_memory(share):
    """A copy to lower addresses may use the memory from which it is read."""
    x = TensorType((6, 8), INT8)
    site = site_of(Slice((1, 2), (5, 4), (1, 1)), [x], [None], x)
    kernel, values = moved(site, M7), random_values(x, np.random.default_rng(0))
    assert kernel is not None and kernel.overlap[0] <= 0
    actual = run_kernel(kernel, [values], site.sig.output, share_operand=share, sanitize=True)
    np.testing.assert_array_equal(actual, values[1:, 2:6])


@pytest.mark.parametrize("y", TYPES, ids=str)
def test_cast(y):
    inputs = [TensorType((3, 17), x) for x in TYPES]
    check_all(cast, [site_of(Cast(y), [x], [None], TensorType((3, 17), y)) for x in inputs])


@pytest.mark.parametrize("dtype", [t for t in TYPES if t != FLOAT32], ids=str)
def test_cast_of_extreme_floats(dtype):
    ends = [0.0, np.inf, np.nan, 1e-30, 0.5, 1.0, 3e9, 1e19, 3e38] + [2.0**n for n in (7, 8, 15, 16, 31, 32, 63, 64)]
    values = np.array([*ends, *(-v for v in ends)], np.float32)
    near = [values, np.nextafter(values, np.float32(np.inf)), np.nextafter(values, np.float32(-np.inf))]
    x = np.concatenate(near)
    site = site_of(Cast(dtype), [TensorType(x.shape, FLOAT32)], [None], TensorType(x.shape, dtype))
    kernel = cast(site, M7)
    assert kernel is not None
    actual = run_kernel(kernel, [x], site.sig.output, sanitize=True)
    np.testing.assert_array_equal(actual, site.node.op.evaluate(site.sig, [x])[0])


def test_cast_that_keeps_the_bits():
    def kept(x: DType, y: DType) -> bool:
        return same_bits(site_of(Cast(y), [TensorType((3,), x)], [None], TensorType((3,), y)), M7) is not None

    assert kept(INT8, UINT8) and kept(BOOL, INT8) and kept(FLOAT32, FLOAT32)
    assert not kept(UINT8, BOOL) and not kept(FLOAT32, INT32) and not kept(INT32, FLOAT32) and not kept(INT8, INT16)
