"""RIGHT_SHIFT against LiteRT."""

from __future__ import annotations

import pytest

from tests.ops.bits import check_bits


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_integers(dtype):
    check_bits("RIGHT_SHIFT", dtype)
