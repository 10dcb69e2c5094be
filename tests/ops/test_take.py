"""Elements of an axis by index."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernel_checks import int8
from tinycompile.dtypes import INT8
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.take import Take


def test_elements():
    x = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    sig = Signature((int8(x.shape),), (int8((2, 2, 4)),))
    assert np.array_equal(Take(1, (2, 0)).evaluate(sig, [x])[0], x[:, [2, 0]])


@pytest.mark.parametrize(("axis", "indices"), [(3, (0,)), (1, (3,)), (1, (-1,)), (1, ())])
def test_contradictions(axis, indices):
    with pytest.raises(ValueError, match="ax"):
        Take(axis, indices).infer([TensorType((2, 3, 4), INT8)])
