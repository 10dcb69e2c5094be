"""TRANSPOSE against LiteRT."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from tests.ops.oracle import check, full_range
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.transpose import Transpose


@pytest.mark.parametrize("permutation", [*permutations(range(4)), *permutations(range(3)), (1, 0), (0, 3, 1, 4, 2)])
def test_permutations(permutation):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    shape = (2, 3, 4, 5, 6)[: len(permutation)]
    x, y = b.tensor(shape, 0.1, 3), b.tensor([shape[axis] for axis in permutation], 0.1, 3)
    b.op("TRANSPOSE", [x, b.constant(np.array(permutation, np.int32))], [y])
    check(b, [y], {x: full_range(rng, shape)})


def test_must_be_a_permutation():
    with pytest.raises(ValueError, match="permutation"):
        Transpose((0, 0)).infer([TensorType((2, 3), INT8)])
