"""PAD and PADV2 against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.floats import check_float, normal
from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import check, full_range, seeds, thorough, zero_points
from tests.support.kernel_checks import check as check_kernel
from tests.support.kernel_checks import int8, site_of
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.movement import pad
from tinycompile.ops.pad import Pad


def check_pad(shape, amounts, zero_point, value=None, seed=0, dtype=np.int32):
    rng, b = np.random.default_rng(seed), TfliteBuilder()
    x = b.tensor(shape, 0.1, zero_point)
    y = b.tensor([n + sum(pair) for n, pair in zip(shape, amounts, strict=True)], 0.1, zero_point)
    operands = [x, b.constant(np.array(amounts, dtype))]
    if value is not None:
        operands.append(b.constant(np.array([value], np.int8), 0.1, zero_point))
    b.op("PAD" if value is None else "PADV2", operands, [y])
    check(b, [y], {x: full_range(rng, shape)})


@thorough
@given(
    st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * 3),
    zero_points, st.one_of(st.none(), st.integers(-128, 127)), seeds,
)  # fmt: skip
def test_random(amounts, zero_point, value, seed):
    check_pad((1, 4, 5, 3), ((0, 0), *amounts), zero_point, value, seed)


@pytest.mark.parametrize(
    ("shape", "amounts"), [((5,), ((1, 2),)), ((2, 3), ((0, 1), (1, 0))), ((1, 2, 3, 2, 2), ((0, 0),) * 4 + ((1, 1),))]
)
def test_ranks(shape, amounts):
    check_pad(shape, amounts, 7)
    check_pad(shape, amounts, 7, dtype=np.int64)


@pytest.mark.parametrize("amounts", [((0, 0),), ((0, -1), (0, 0))])
def test_amounts_must_make_sense(amounts):
    with pytest.raises(ValueError, match="pad"):
        Pad(amounts, 0).infer([TensorType((4, 4), INT8)])


@pytest.mark.parametrize("amounts", [((1, 2), (0, 3), (2, 0)), ((0, 0), (0, 0), (0, 0))])
def test_floats(amounts):
    check_float(pad, Pad(amounts, -1.5), [normal(2, 3, 4)])


@pytest.mark.parametrize("fill", [0.5, 128])
def test_a_fill_that_is_no_int8(fill):
    assert str(fill) in str(Pad(((1, 1),), fill).unsupported(Signature((int8((3,)),), (int8((5,)),))))


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("fill", [None, 1, 77])
def test_types(dtype, fill):
    m = MoveModel(0)
    x = m.input((1, 3, 4, 2), dtype)
    operands = [x, m.known([[0, 0], [1, 2], [0, 1], [3, 0]])]
    m.output((1, 6, 5, 5), dtype)
    m.op("PAD" if fill is None else "PADV2", operands if fill is None else [*operands, m.known(fill, dtype)])
    m.check()


@pytest.mark.parametrize("dtype", [INT16, INT32, INT64, FLOAT32, UINT8, BOOL], ids=str)
@pytest.mark.parametrize("fill", [0, 1, -1, 300, -np.inf, np.nan])
def test_kernel(dtype, fill):
    x, op = TensorType((2, 3, 2), dtype), Pad(((0, 1), (2, 0), (1, 3)), fill)
    if op.unsupported(Signature((x,), (x,))) is None:
        check_kernel(pad, site_of(op, [x], [None], x))
