"""PRELU against LiteRT."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.ops.elementwise import compare, every_pair
from tests.ops.floats import check_float_binary, normal
from tests.ops.oracle import scales, thorough, zero_points
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.prelu import Prelu


@thorough
@given(st.tuples(scales, zero_points), st.tuples(scales, zero_points), st.tuples(scales, zero_points))
def test_every_pair(x, slope, y):
    every_pair("PRELU", [x, slope, y])


def test_floats():
    check_float_binary(Prelu())
    x, slope = normal(2, 3, 4), normal(4)
    compare("PRELU", [x, slope], tolerance=1e-6)


def test_there_is_no_rule_of_onnx_for_integers():
    types = int8((4,)), int8((4,))
    assert Prelu(rule="onnx").unsupported(Signature(types, types[:1])) == "the input is int8, supported is float32"
