"""POW against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare, compare_pairs
from tests.ops.floats import check_float_binary
from tests.support.kernel_checks import int8
from tinycompile.ir import Signature
from tinycompile.ops.pow import Pow


def test_floats():
    check_float_binary(Pow())
    compare_pairs("POW", "float32", 0.1, 3, tolerance=1e-5)


def test_integers():
    rng = np.random.default_rng(0)
    compare("POW", [rng.integers(-9, 9, 500).astype(np.int32), rng.integers(0, 9, 500).astype(np.int32)])


def test_there_is_no_rule_for_int8():
    types = int8((4,)), int8((4,))
    for rule in ("tflite", "onnx"):
        assert "the input is int8" in str(Pow(rule=rule).unsupported(Signature(types, types[:1])))
