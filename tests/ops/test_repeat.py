"""TILE against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.moves import TYPES, MoveModel
from tests.ops.oracle import seeds, thorough
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.repeat import Repeat


@thorough
@given(st.sampled_from(TYPES), st.integers(0, 5), st.sampled_from(["int32", "int64"]), seeds)
def test_any_axes(dtype, rank, index_type, seed):
    m = MoveModel(seed)
    shape, multiples = (tuple(int(n) for n in m.rng.integers(1, 4, rank)) for _ in range(2))
    x = m.input(shape, dtype)
    m.output([n * times for n, times in zip(shape, multiples, strict=True)], dtype)
    m.op("TILE", [x, m.known(multiples, index_type)])
    m.check()


@pytest.mark.parametrize("multiples", [(2,), (0, 1), (1 << 20, 1 << 20)])
def test_multiples_make_sense(multiples):
    with pytest.raises(ValueError, match=r"multiples|no tensor"):
        Repeat(multiples).infer([TensorType((2, 3), INT8)])
