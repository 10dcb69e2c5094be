"""What division leaves, rounded towards zero: integers by Python's, floats by C's rule."""

from __future__ import annotations

import numpy as np

from tests.ops.floats import normal
from tests.ops.plain_integers import check_pairs
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.fmod import Fmod


def test_integers():
    check_pairs(Fmod(), lambda a, b, bits: 0 if b == 0 else abs(a) % abs(b) * (1 if a >= 0 else -1))


def test_floats():
    a, b = normal(1, 40), normal(2, 40)
    t = TensorType(a.shape, FLOAT32)
    (found,) = Fmod().evaluate(Signature((t, t), (t,)), [a, b])
    np.testing.assert_array_equal(found, np.fmod(a.astype(np.float64), b.astype(np.float64)).astype(np.float32))
