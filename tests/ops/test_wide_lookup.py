"""Functions of one value with 16 bits that the ONNX frontend tabulates: see tests/frontend/test_onnx_wide.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import int8
from tinycompile.dtypes import INT8, INT16
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.wide_lookup import WideLookup

WIDE = TensorType((5,), INT16, Quantization.per_tensor(0.5, 3))
ENDS = {INT8: np.array([-128, -1, 0, 1, 127], np.int8), INT16: np.array([-32768, -1, 0, 1, 32767], np.int16)}


@pytest.mark.parametrize(("x", "y"), [(WIDE, WIDE), (WIDE, int8((5,), 0.5, 3)), (int8((5,)), WIDE)])
def test_rounds_halves_to_even_before_the_zero_point_is_added(x, y):
    low, high = x.dtype.range
    values = np.zeros(high - low + 1, np.float32)
    values[[0, -low - 1, -low, -low + 1, -1]] = [np.nan, 0.25, 0.75, -1e9, np.inf]
    op, sig = WideLookup(values.tobytes(), y.dtype), Signature((x,), (y,))
    least, most = y.dtype.range
    assert op.evaluate(sig, [ENDS[x.dtype]])[0].tolist() == [least, 3, 5, least, most]
    assert op.unsupported(sig) is None


def test_refuses_what_has_no_form():
    noise = np.random.default_rng(0).normal(0, 1000, 1 << 16).astype(np.float32)
    sig = Signature((WIDE,), (WIDE,))
    assert "255 values instead of 65536" in str(WideLookup(bytes(4 * 255)).unsupported(sig))
    assert "1,024 parabolas" in str(WideLookup(noise.tobytes()).unsupported(sig))
    assert "supported is int16" in str(
        WideLookup(bytes(4 * 256), INT8).unsupported(Signature((int8((5,)),) * 2, (int8((5,)),)))
    )
