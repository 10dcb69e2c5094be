"""DEPTH_TO_SPACE against LiteRT."""

from __future__ import annotations

import pytest

from tests.ops.moves import MoveModel
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.depth_to_space import DepthToSpace


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "int64", "float32"])
@pytest.mark.parametrize(("n", "h", "w", "c", "block"), [(1, 2, 3, 2, 2), (2, 1, 2, 1, 3), (1, 3, 2, 5, 1)])
def test_blocks(dtype, n, h, w, c, block):
    m = MoveModel(0)
    deep, wide = (n, h, w, c * block * block), (n, h * block, w * block, c)
    shape, result = (wide, deep) if "DEPTH_TO_SPACE" == "SPACE_TO_DEPTH" else (deep, wide)
    x = m.input(shape, dtype)
    m.output(result, dtype)
    m.op("DEPTH_TO_SPACE", [x], BlockSize=block)
    m.check()


@pytest.mark.parametrize(("shape", "block"), [((1, 3, 3, 3), 2), ((1, 2, 2), 1), ((1, 2, 2, 1), 0)])
def test_blocks_that_fit(shape, block):
    with pytest.raises(ValueError, match="block_size of"):
        DepthToSpace(block).infer([TensorType(shape, INT8)])
