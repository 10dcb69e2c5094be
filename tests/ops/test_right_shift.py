"""RIGHT_SHIFT against LiteRT."""

from __future__ import annotations

import pytest

from tests.ops.bits import check_bits
from tests.ops.plain_integers import check_pairs
from tinycompile.ops.right_shift import RightShift


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_integers(dtype):
    check_bits("RIGHT_SHIFT", dtype)


def test_onnx():
    """A shift outside of the type's bits leaves nothing but the sign."""
    check_pairs(RightShift(rule="onnx"), lambda a, b, bits: a >> b if 0 <= b < bits else -(a < 0))
