"""SUB against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.binary import check_binary, every_pair, quantizations, shape_pairs
from tests.ops.elementwise import compare, compare_pairs
from tests.ops.floats import check_float_binary
from tests.ops.onnx_pairs import check_onnx_rule
from tests.ops.oracle import activations, seeds, thorough
from tests.support.tflite_builder import RELU, RELU6, RELU_N1_TO_1
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.ir import Quantization, Signature, TensorType
from tinycompile.ops.sub import Sub


@thorough
@given(shape_pairs, quantizations, activations, st.sampled_from([None, None, 0, 1]), seeds)
def test_random(shapes, quantizations, activation, constant, seed):
    check_binary("SUB", shapes, quantizations, activation, constant, seed)


@pytest.mark.parametrize(
    "quantizations",
    [
        ((0.02, -128), (0.03, 127), (0.04, 0)),
        ((0.5, 0), (0.5, 0), (1.0, 0)),
        ((0.25, 3), (1.0, -3), (0.5, 1)),
        ((1e-6, 0), (1.0, 0), (0.9, 5)),
        ((0.7, -20), (0.001, 90), (0.01, -70)),
    ],
)
def test_every_pair(quantizations):
    every_pair("SUB", quantizations)


def test_refuses_scales_that_litert_refuses():
    x, y = (TensorType((4,), INT8, Quantization.per_tensor(scale, 0)) for scale in (1.0, 1e-6))
    assert "too small" in (Sub().unsupported(Signature((x, x), (y,))) or "")
    assert Sub().unsupported(Signature((x, x), (x,))) is None


def test_floats():
    check_float_binary(Sub())


def test_every_pair_by_the_rule_of_onnx():
    check_onnx_rule(Sub, "Sub")


def test_a_fused_activation_is_of_integers():
    t = TensorType((4,), FLOAT32)
    assert "activation" in str(Sub((0, 127)).unsupported(Signature((t, t), (t,))))


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
def test_numbers(dtype):
    compare_pairs("SUB", dtype, -1000, 1000, tolerance=1e-6 if dtype == "float32" else 0)


def test_floats_with_an_activation():
    a, b = np.random.default_rng(0).normal(0, 4, (2, 500)).astype(np.float32)
    for activation in (RELU, RELU6, RELU_N1_TO_1):
        compare("SUB", [a, b], tolerance=1e-6, FusedActivationFunction=activation)
