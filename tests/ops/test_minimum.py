"""The smaller one of two elements, against LiteRT and by ONNX's rule."""

from __future__ import annotations

import pytest

from tests.ops.elementwise import compare_pairs, every_pair
from tests.ops.floats import check_float_binary
from tests.ops.onnx_pairs import check_onnx_rule
from tinycompile.ops.minimum import Minimum


def test_every_pair():
    """LiteRT compares the bytes, whatever they mean."""
    every_pair("MINIMUM", [(0.1, 3), (0.1, 3), (0.1, 3)])
    every_pair("MINIMUM", [(0.1, 3), (0.2, -7), (0.05, 1)])


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_numbers(dtype):
    compare_pairs("MINIMUM", dtype, -50, 50)


def test_floats():
    check_float_binary(Minimum())


def test_every_pair_by_the_rule_of_onnx():
    check_onnx_rule(Minimum, "Min")
