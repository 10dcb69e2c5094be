"""The larger one of two elements, in floats and by ONNX's rule."""

from __future__ import annotations

from tests.ops.floats import check_float_binary
from tests.ops.onnx_pairs import check_onnx_rule
from tinycompile.ops.maximum import Maximum


def test_floats():
    check_float_binary(Maximum())


def test_every_pair_by_the_rule_of_onnx():
    check_onnx_rule(Maximum, "Max")
