"""CONV_3D_TRANSPOSE against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import agree
from tests.ops.floats import normal
from tests.support.tflite_builder import NONE, RELU, SAME, VALID, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite

CASES = {
    "same": ((1, 2, 3, 2, 3), (3, 2, 2), (2, 2, 2), SAME, NONE, 5, True),
    "valid": ((2, 2, 3, 2, 2), (2, 3, 1), (2, 1, 3), VALID, RELU, 3, False),
    "one": ((1, 1, 1, 1, 2), (1, 1, 1), (1, 1, 1), VALID, NONE, 4, True),
}


def model(shape, kernel, stride, padding, activation, channels, bias):
    b = TfliteBuilder()
    sizes = [n * s if padding == SAME else (n - 1) * s + k for n, k, s in zip(shape[1:4], kernel, stride, strict=True)]
    result = (shape[0], *sizes, channels)
    x, y = b.tensor(shape, dtype="float32"), b.tensor(result, dtype="float32")
    weights = b.constant(normal(*kernel, channels, shape[4], seed=1))
    operands = [b.constant(np.array(result, np.int32)), weights, x]
    if bias:
        operands.append(b.constant(normal(channels, seed=2)))
    b.op(
        "CONV_3D_TRANSPOSE", operands, [y], Padding=padding, FusedActivationFunction=activation,
        StrideD=stride[0], StrideH=stride[1], StrideW=stride[2],
    )  # fmt: skip
    return b, x, y


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_floats(case):
    b, x, y = model(*case)
    agree(b, [x], [y], [[normal(*case[0], seed=seed)] for seed in range(3)], tolerance=1e-5)


def test_an_output_that_no_input_has():
    b, x, y = model(*CASES["same"])
    b.tensors[x].shape = [1, 3, 3, 2, 3]
    with pytest.raises(ModelFileError, match="4 outputs along axis 1 don't come from 3, by its options padding"):
        import_tflite(b.build([x], [y]), "model", "model.tflite")


def test_a_shape_that_is_computed():
    b, x, y = model(*CASES["same"])
    shape = b.ops[0].inputs[0]
    b.tensors[shape].data = None
    with pytest.raises(UnsupportedError, match="the shape of the output is computed at run time"):
        import_tflite(b.build([x, shape], [y]), "model", "model.tflite")
