"""BATCH_TO_SPACE_ND against LiteRT."""

from __future__ import annotations

import pytest

from tests.ops.moves import MoveModel
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.batch_to_space import BatchToSpace


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize(
    ("shape", "block", "border"),
    [
        ((1, 4, 6, 3), (2, 3), ((0, 0), (0, 0))),
        ((2, 3, 4, 1), (2, 2), ((1, 0), (0, 2))),
        ((2, 6, 5), (3,), ((0, 0),)),
        ((1, 5, 2), (3,), ((0, 1),)),
    ],
)
def test_blocks(dtype, shape, block, border):
    m = MoveModel(0)
    padded = [n + sum(pair) for n, pair in zip(shape[1:], border, strict=False)]
    batch, rest = shape[0], shape[len(block) + 1 :]
    for size in block:
        batch *= size
    split = (batch, *(n // size for n, size in zip(padded, block, strict=False)), *rest)
    given = "BATCH_TO_SPACE_ND" == "SPACE_TO_BATCH_ND"
    x = m.input(shape if given else split, dtype)
    m.output(split if given else shape, dtype)
    m.op("BATCH_TO_SPACE_ND", [x, m.known(block), m.known(border)])
    m.check()


@pytest.mark.parametrize(("shape", "block"), [((3, 3, 3, 3), (2, 2)), ((2, 2), (2, 2)), ((2, 2), (0,))])
def test_blocks_that_fit(shape, block):
    with pytest.raises(ValueError, match="blocks of"):
        BatchToSpace(block, ((0, 0),) * len(block)).infer([TensorType(shape, INT8)])
