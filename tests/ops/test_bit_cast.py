"""Bits seen as another type."""

from __future__ import annotations

import numpy as np
import pytest

from tinycompile.dtypes import FLOAT32, INT4, INT32, INT64, UINT4
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.bit_cast import BitCast


def test_bits_stay():
    x = np.array([1.0, -0.0, np.inf], np.float32)
    sig = Signature((TensorType((3,), FLOAT32),), (TensorType((3,), INT32),))
    (found,) = BitCast(INT32).evaluate(sig, [x])
    assert [hex(n & 0xFFFFFFFF) for n in found.tolist()] == ["0x3f800000", "0x80000000", "0x7f800000"]


def test_elements_that_share_bytes():
    x = np.array([-8, -1, 7], np.int8)
    sig = Signature((TensorType((3,), INT4),), (TensorType((3,), UINT4),))
    assert BitCast(UINT4).evaluate(sig, [x])[0].tolist() == [8, 15, 7]


def test_another_size():
    with pytest.raises(ValueError, match="another size"):
        BitCast(INT64).infer([TensorType((3,), FLOAT32)])
