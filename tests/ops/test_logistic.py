"""LOGISTIC against LiteRT."""

from __future__ import annotations

import pytest
from hypothesis import given

from tests.ops.floats import check_float_unary
from tests.ops.oracle import scales, thorough, zero_points
from tests.ops.unary import check_unary
from tinycompile.dtypes import INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.logistic import Logistic


@thorough
@given(scales, zero_points, zero_points)
def test_every_value(scale, x_zero, y_zero):
    check_unary("LOGISTIC", (scale, x_zero), (1 / 256, y_zero))


@pytest.mark.parametrize("scale", [1e-9, 1e-4, 50.0, 1e30])
def test_extreme_scales(scale):
    check_unary("LOGISTIC", (scale, 5), (1 / 256, -128))


def test_other_output_scales_are_refused():
    x, y = (TensorType((4,), INT8, Quantization.per_tensor(scale, 0)) for scale in (0.1, 1 / 128))
    assert "1/256" in (Logistic().unsupported(Signature((x,), (y,))) or "")


def test_floats():
    check_float_unary(Logistic())
