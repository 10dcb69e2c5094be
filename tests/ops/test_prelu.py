"""PRELU against LiteRT."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare, every_pair
from tests.ops.floats import check_float_binary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.support.kernel_checks import int8
from tinycompile.dtypes import FLOAT32, INT16
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.prelu import Prelu


@thorough
@given(st.tuples(scales, zero_points), st.tuples(scales, zero_points), st.tuples(scales, zero_points))
def test_every_pair(x, slope, y):
    every_pair("PRELU", [x, slope, y])


def test_floats():
    check_float_binary(Prelu())
    x, slope = normal(2, 3, 4), normal(4)
    compare("PRELU", [x, slope], tolerance=1e-6)


def test_the_rule_of_onnx_is_for_sixteen_bits():
    types = int8((4,)), int8((4,))
    refusal = "the input is int8, supported is float32 or int16"
    assert Prelu(rule="onnx").unsupported(Signature(types, types[:1])) == refusal
    wide = TensorType((4,), INT16, Quantization.per_tensor(0.5, 3))
    sig = Signature((wide, TensorType((4,), FLOAT32)), (wide,))
    slopes = np.array([0.5, -1, 2, 0.25], np.float32)
    (got,) = Prelu((-5, 90), "onnx").evaluate(sig, [np.array([-3, -3, -4, 99], np.int16), slopes])
    assert Prelu((-5, 90), "onnx").unsupported(sig) is None
    assert got.tolist() == [0, 9, -5, 90]
