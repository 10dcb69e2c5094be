"""SLICE, STRIDED_SLICE, SPLIT, SPLIT_V, UNPACK and REVERSE_V2 against LiteRT."""

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
from tinycompile.ops.slice import Slice

types, ranks = st.sampled_from(TYPES), st.integers(1, 5)


def shape_of(rng: np.random.Generator, rank: int) -> tuple[int, ...]:
    return tuple(int(n) for n in rng.integers(1, 6, rank))


@thorough
@given(types, ranks, seeds)
def test_slice(dtype, rank, seed):
    m = MoveModel(seed)
    shape = shape_of(m.rng, rank)
    begin = [int(m.rng.integers(n)) for n in shape]
    size = [int(m.rng.integers(1, n - b + 1)) for n, b in zip(shape, begin, strict=True)]
    given_ = [-1 if m.rng.random() < 0.3 else n for n in size]
    size = [n - b if g == -1 else g for n, b, g in zip(shape, begin, given_, strict=True)]
    x, y = m.input(shape, dtype), m.output(size, dtype)
    assert y
    m.op("SLICE", [x, m.known(begin), m.known(given_)])
    m.check()


@thorough
@given(types, st.integers(1, 4), st.data(), seeds)
def test_strided_slice(dtype, rank, data, seed):
    """Bounds of any sign, inside and outside, strides of any sign, every mask."""
    m = MoveModel(seed)
    shape = shape_of(m.rng, rank)
    bits = st.integers(0, (1 << rank) - 1)
    begins, ends, shrinks = data.draw(bits), data.draw(bits), data.draw(bits) & data.draw(bits)
    begin, end, strides, index = list[int](), list[int](), list[int](), list[object]()
    for axis, n in enumerate(shape):
        b, e = int(m.rng.integers(-n - 1, n + 2)), int(m.rng.integers(-n - 1, n + 2))
        step = int(m.rng.choice([-2, -1, 1, 1, 2, 3]))
        if shrinks >> axis & 1:
            step, b = 1, int(m.rng.integers(-n, n))
            e = b + 1
            begins, ends = begins & ~(1 << axis), ends & ~(1 << axis)
        begin, end, strides = [*begin, b], [*end, e], [*strides, step]
        first, last = (None if begins >> axis & 1 else b), (None if ends >> axis & 1 else e)
        index.append(b if shrinks >> axis & 1 else slice(first, last, step))
    result = np.empty(shape)[tuple(index)].shape
    if 0 in result:
        return
    x = m.input(shape, dtype)
    m.output(result, dtype)
    fields = {"BeginMask": begins, "EndMask": ends, "ShrinkAxisMask": shrinks}
    m.op("STRIDED_SLICE", [x, m.known(begin), m.known(end), m.known(strides)], **fields)
    m.check()


@pytest.mark.parametrize(
    ("index", "fields"),
    [
        ((Ellipsis, slice(1, 3)), {"EllipsisMask": 1}),
        ((0, Ellipsis), {"EllipsisMask": 2, "ShrinkAxisMask": 1}),
        ((Ellipsis, None, slice(0, 2)), {"EllipsisMask": 1, "NewAxisMask": 2}),
        ((None, slice(1, 2), Ellipsis), {"EllipsisMask": 4, "NewAxisMask": 1}),
        ((slice(0, 2), None, 2), {"NewAxisMask": 2, "ShrinkAxisMask": 4}),
        ((1,), {"ShrinkAxisMask": 1}),
    ],
)
@pytest.mark.parametrize("dtype", ["int8", "float32"])
def test_axes_that_come_and_go(index, fields, dtype):
    m = MoveModel(0)
    x = m.input((2, 3, 4), dtype)
    m.output(np.empty((2, 3, 4))[index].shape, dtype)
    begin = [i.start if isinstance(i, slice) else i if isinstance(i, int) else 0 for i in index]
    end = [i.stop if isinstance(i, slice) else i + 1 if isinstance(i, int) else 0 for i in index]
    m.op("STRIDED_SLICE", [x, m.known(begin), m.known(end), m.known([1] * len(index))], **fields)
    m.check()


def test_offset_bounds():
    """In version 8 an end may count from its begin."""
    m = MoveModel(0)
    x = m.input((5, 6), "int8")
    m.output((2, 3), "int8")
    m.op("STRIDED_SLICE", [x, m.known([1, 2]), m.known([2, 3]), m.known([1, 1])], version=8, Offset=True)
    m.check()


@thorough
@given(st.sampled_from([t for t in TYPES if t != "bool"]), ranks, st.integers(1, 4), seeds)
def test_split(dtype, rank, count, seed):
    m = MoveModel(seed)
    axis = int(m.rng.integers(rank))
    piece = shape_of(m.rng, rank)
    shape = (*piece[:axis], piece[axis] * count, *piece[axis + 1 :])
    x = m.input(shape, dtype)
    for _ in range(count):
        m.output(piece, dtype)
    m.op("SPLIT", [m.known(axis - rank if m.rng.random() < 0.5 else axis), x], NumSplits=count)
    m.check()


@thorough
@given(st.sampled_from([t for t in TYPES if t != "bool"]), ranks, seeds)
def test_split_v(dtype, rank, seed):
    m = MoveModel(seed)
    axis, piece = int(m.rng.integers(rank)), shape_of(m.rng, rank)
    sizes = [int(n) for n in m.rng.integers(1, 4, int(m.rng.integers(1, 4)))]
    x = m.input((*piece[:axis], sum(sizes), *piece[axis + 1 :]), dtype)
    for size in sizes:
        m.output((*piece[:axis], size, *piece[axis + 1 :]), dtype)
    if m.rng.random() < 0.5:
        sizes[int(m.rng.integers(len(sizes)))] = -1
    m.op("SPLIT_V", [x, m.known(sizes), m.known(axis)], NumSplits=len(sizes))
    m.check()


@thorough
@given(st.sampled_from([t for t in TYPES if t != "int64"]), ranks, seeds)
def test_unpack(dtype, rank, seed):
    m = MoveModel(seed)
    axis, shape = int(m.rng.integers(rank)), shape_of(m.rng, rank)
    x = m.input(shape, dtype)
    for _ in range(shape[axis]):
        m.output((*shape[:axis], *shape[axis + 1 :]), dtype)
    m.op("UNPACK", [x], Num=shape[axis], Axis=axis - rank if m.rng.random() < 0.5 else axis)
    m.check()


@thorough
@given(types, ranks, seeds)
def test_reverse(dtype, rank, seed):
    m = MoveModel(seed)
    first = int(m.rng.integers(rank))
    axes = list(range(first, int(m.rng.integers(first, rank)) + 1))
    shape = shape_of(m.rng, rank)
    x = m.input(shape, dtype)
    m.output(shape, dtype)
    m.op("REVERSE_V2", [x, m.known(axes)])
    m.check()


def refused(m: MoveModel, reason: str) -> None:
    with pytest.raises(UnsupportedError, match=reason):
        m.check()


def test_what_leaves_nothing_is_refused():
    m = MoveModel(0)
    x = m.input((4,), "int8")
    m.output((1,), "int8")
    m.op("STRIDED_SLICE", [x, m.known([2]), m.known([2]), m.known([1])])
    refused(m, "no elements")


def test_bounds_must_be_known():
    m = MoveModel(0)
    x, size = m.input((4,), "int8"), m.given(np.array([2], np.int32))
    m.output((2,), "int8")
    m.op("SLICE", [x, m.known([1]), size])
    refused(m, "the size is computed at run time")


def test_pieces_have_the_scale_of_the_whole():
    m = MoveModel(0)
    x = m.input((1, 4), "int8")
    m.outputs.append(m.builder.tensor((4,), 0.25))
    m.op("UNPACK", [x], Num=1, Axis=0)
    refused(m, "differ in scale")


@pytest.mark.parametrize("bounds", [((1,), (4,), (1,)), ((0,), (2,), (0,)), ((0,), (0,), (1,)), ((1,), (3,), (-1,))])
def test_bounds_inside(bounds):
    with pytest.raises(ValueError, match="elements from"):
        Slice(*bounds).infer([TensorType((4,), INT8)])
