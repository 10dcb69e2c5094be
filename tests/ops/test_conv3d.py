"""CONV_3D against LiteRT."""

from __future__ import annotations

import pytest

from tests.ops.agreement import agree
from tests.ops.floats import normal
from tests.support.tflite_builder import NONE, RELU, RELU6, SAME, VALID, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite

CASES = {
    "same": ((1, 4, 5, 6, 3), (3, 3, 3), (1, 1, 1), (1, 1, 1), SAME, NONE, 5, True),
    "strided": ((2, 5, 7, 6, 2), (2, 3, 1), (2, 3, 1), (1, 1, 1), SAME, RELU, 4, False),
    "dilated": ((1, 5, 6, 7, 1), (2, 2, 3), (1, 1, 2), (2, 3, 2), VALID, RELU6, 3, True),
    "one": ((1, 1, 1, 1, 2), (1, 1, 1), (1, 1, 1), (1, 1, 1), VALID, NONE, 9, True),
}


def model(shape, kernel, stride, dilation, padding, activation, channels, bias):
    b = TfliteBuilder()
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    read = shape[1:4] if padding == SAME else [n - e + 1 for n, e in zip(shape[1:4], extents, strict=True)]
    sizes = [-(-n // s) for n, s in zip(read, stride, strict=True)]
    x, y = b.tensor(shape, dtype="float32"), b.tensor((shape[0], *sizes, channels), dtype="float32")
    operands = [x, b.constant(normal(*kernel, shape[4], channels, seed=1))]
    if bias:
        operands.append(b.constant(normal(channels, seed=2)))
    b.op(
        "CONV_3D", operands, [y], Padding=padding, FusedActivationFunction=activation,
        StrideD=stride[0], StrideH=stride[1], StrideW=stride[2],
        DilationDFactor=dilation[0], DilationHFactor=dilation[1], DilationWFactor=dilation[2],
    )  # fmt: skip
    return b, x, y


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_floats(case):
    b, x, y = model(*case)
    agree(b, [x], [y], [[normal(*case[0], seed=seed)] for seed in range(3)], tolerance=1e-5)


def test_a_window_that_does_not_fit():
    b, x, y = model(*CASES["one"])
    b.tensors[b.ops[0].inputs[1]].shape, b.tensors[x].shape = [2, 1, 1, 1, 9], [1, 1, 1, 1, 1]
    with pytest.raises(ModelFileError, match="does not fit"):
        import_tflite(b.build([x], [y]), "model", "model.tflite")


def test_integers_are_refused():
    """LiteRT has none, either."""
    b, x, y = model(*CASES["one"])
    b.tensors[x].dtype = b.tensors[y].dtype = 9
    for t in (x, y):
        b.tensors[t].scale, b.tensors[t].zero_point = [0.5], [0]
    with pytest.raises(UnsupportedError, match="a tensor is int8, supported is float32"):
        import_tflite(b.build([x], [y]), "model", "model.tflite")
