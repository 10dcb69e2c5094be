"""AVERAGE_POOL_2D against LiteRT."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from tests.ops.convolutions import paddings, sizes
from tests.ops.floats import check_float, normal
from tests.ops.oracle import activations, pairs, scales, seeds, thorough, zero_points
from tests.ops.pooling import check_pool
from tests.support.kernel_checks import int8
from tests.support.tflite_builder import VALID
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.kernels.float_layers import pool2d
from tinycompile.ops.average_pool2d import AveragePool2D


@thorough
@given(sizes, pairs, pairs, paddings, scales, zero_points, seeds, activations)
def test_random(size, kernel, stride, padding, scale, zero_point, seed, activation):
    check_pool(
        "AVERAGE_POOL_2D", size, kernel, stride, padding, scale=scale, zero_point=zero_point, seed=seed,
        activation=activation,
    )  # fmt: skip


def test_the_whole_image():
    check_pool("AVERAGE_POOL_2D", (7, 9), (7, 9), (1, 1), VALID)


def test_rules():
    x = TensorType((1, 6, 6, 2), INT8, Quantization.per_tensor(0.5, 0))
    y = TensorType((1, 3, 3, 2), INT8, Quantization.per_tensor(0.5, 1))
    op = AveragePool2D((2, 2), (2, 2))
    assert op.unsupported(Signature((x,), (y,))) is None
    assert "batch" in (op.unsupported(Signature((replace(x, shape=(2, 6, 6, 2)),), (y,))) or "")
    with pytest.raises(ValueError, match="nothing in them"):
        AveragePool2D((2, 2), (1, 1), (2, 0, 0, 0)).infer([x])


@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
@pytest.mark.parametrize("counted", [(0, 0, 0, 0), (1, 1, 0, 1)])
def test_floats(dilation, counted):
    op = AveragePool2D((2, 3), (2, 1), (1, 1, 0, 1), dilation=dilation, counted=counted)
    for batch in (1, 2):
        check_float(pool2d, op, [normal(batch, 7, 6, 3)])


def test_dilated_windows_are_of_floats():
    sig = Signature((int8((1, 4, 4, 2)),), (int8((1, 2, 2, 2)),))
    assert "dilation" in str(AveragePool2D((2, 2), (1, 1), dilation=(2, 2)).unsupported(sig))
