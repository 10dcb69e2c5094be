"""RESHAPE, SQUEEZE and EXPAND_DIMS against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.oracle import check, full_range
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType
from tinycompile.ops.reshape import Reshape


def run(kind, shape, result, operand=None, **options):
    rng, b = np.random.default_rng(0), TfliteBuilder()
    x, y = b.tensor(shape, 0.1, 3), b.tensor(result, 0.1, 3)
    operands = [x] if operand is None else [x, b.constant(np.array(operand, np.int32))]
    b.op(kind, operands, [y], **options)
    return check(b, [y], {x: full_range(rng, shape)})


@pytest.mark.parametrize("operand", [(1, 24), (-1, 24), (1, -1)])
def test_reshape(operand):
    run("RESHAPE", (1, 2, 3, 4), (1, 24), operand)


def test_reshape_with_the_shape_in_its_options():
    run("RESHAPE", (1, 2, 3, 4), (1, 24), NewShape=[1, 24])


def test_squeeze_and_expand():
    run("SQUEEZE", (1, 1, 3, 4), (1, 3, 4), SqueezeDims=[1])
    run("EXPAND_DIMS", (1, 3, 4), (1, 3, 1, 4), 2)


def test_element_counts_must_agree():
    with pytest.raises(ValueError, match="shape"):
        Reshape((5,)).infer([TensorType((2, 3), INT8)])
