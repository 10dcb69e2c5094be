"""FLOOR_MOD against LiteRT."""

from __future__ import annotations

import numpy as np

from tests.ops.elementwise import compare
from tests.ops.floats import check_float_binary
from tests.support.kernel_checks import site_of
from tinycompile.dtypes import INT32
from tinycompile.ir import TensorType
from tinycompile.ops.floor_mod import FloorMod


def test_floats():
    check_float_binary(FloorMod())
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-9, 9, (2, 200)).astype(np.float32)
    compare("FLOOR_MOD", [a, b], tolerance=1e-6)


def test_integers():
    rng = np.random.default_rng(0)
    for dtype in ("int32", "int64"):
        a, b = rng.integers(-20, 20, (2, 200)).astype(dtype)
        compare("FLOOR_MOD", [a, np.where(b == 0, 1, b).astype(dtype)])


def test_division_by_zero_gives_0():
    x, zero = np.array([5, -5, 0], np.int32), np.zeros(3, np.int32)
    site = site_of(FloorMod(), [TensorType((3,), INT32)] * 2, [None] * 2, TensorType((3,), INT32))
    assert not site.node.op.evaluate(site.sig, [x, zero])[0].any()
