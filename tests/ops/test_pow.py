"""Powers, of floats."""

from __future__ import annotations

from tests.ops.floats import check_float_binary
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.pow import Pow


def test_floats():
    check_float_binary(Pow())


def test_there_is_no_rule_for_integers():
    types = int8((4,)), int8((4,))
    for rule in ("tflite", "onnx"):
        assert Pow(rule=rule).unsupported(Signature(types, types[:1])) == "the input is int8, supported is float32"
