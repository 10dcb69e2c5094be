"""MIRROR_PAD against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.mirror_pad import MirrorPad

REFLECT, SYMMETRIC = 0, 1


@thorough
@given(st.sampled_from(TYPES), st.integers(1, 5), st.sampled_from([REFLECT, SYMMETRIC]), seeds)
def test_any_axes(dtype, rank, mode, seed):
    m = MoveModel(seed)
    shape = tuple(int(n) for n in m.rng.integers(1, 5, rank))
    amounts = [[int(a) for a in m.rng.integers(0, n + (mode == SYMMETRIC), 2)] for n in shape]
    x = m.input(shape, dtype)
    m.output([n + sum(pair) for n, pair in zip(shape, amounts, strict=True)], dtype)
    m.op("MIRROR_PAD", [x, m.known(amounts, "int32" if seed % 2 else "int64")], Mode=mode)
    m.check()


@pytest.mark.parametrize(("amounts", "mode"), [((3, 0), "reflect"), ((0, 4), "symmetric"), ((-1, 0), "reflect")])
def test_a_mirror_shows_what_is_there(amounts, mode):
    with pytest.raises(ValueError, match="mirrored border"):
        MirrorPad((amounts,), mode).infer([TensorType((3,), INT8)])
