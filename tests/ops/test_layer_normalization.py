"""Rows with a mean of 0 and a variance of 1: integers against the real number, C against the integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.ops.floats import check_float
from tests.support.cores import core_named
from tests.support.kernel_checks import M7, check, int8, site_of
from tinycompile.dtypes import FLOAT32
from tinycompile.ir import Signature, TensorType
from tinycompile.kernels.layer_normalization import layer_normalization, layer_normalization_float
from tinycompile.ops._arithmetic.normalisation import MAX_DEPTH, reciprocal_root
from tinycompile.ops.layer_normalization import LayerNormalization


def signature(shape: tuple[int, ...], x: tuple[float, int], y: tuple[float, int]) -> Signature:
    columns = TensorType(shape[-1:], FLOAT32)
    return Signature((int8(shape, *x), columns, columns), (int8(shape, *y),))


def steps_of(op: LayerNormalization, sig: Signature, x: np.ndarray, scale: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The real number in the output's steps, float64."""
    real = (x.astype(np.float64) - sig.input.zero_point) * float(sig.input.scale)
    distance = real - real.mean(axis=-1, keepdims=True) if op.centred else real
    deviation = np.sqrt(np.square(distance).mean(axis=-1, keepdims=True) + op.epsilon)
    return (distance / deviation * scale + bias) / float(sig.output.scale) + sig.output.zero_point


@pytest.mark.parametrize("centred", [True, False])
def test_rounds_the_real_number(centred: bool) -> None:
    """Short rows and long ones, wide ones and some whose values hardly differ; scales from 1e-4 to 1e4."""
    rng, ties = np.random.default_rng(int(centred)), 0
    for depth in (1, 2, 3, 7, 32, 64, 257, MAX_DEPTH):
        for _ in range(8):
            op = LayerNormalization(float(10 ** rng.uniform(-7, -3)), centred)
            x_quant = (float(np.float32(10 ** rng.uniform(-3, 4))), int(rng.integers(-128, 128)))
            scale, bias = (rng.normal(0, 1, depth).astype(np.float32) for _ in range(2))
            y_quant = (float(np.float32(10 ** rng.uniform(-2.5, -1))), int(rng.integers(-128, 128)))
            sig = signature((40, depth), x_quant, y_quant)
            assert op.unsupported(sig) is None
            near = rng.integers(-128, 128, (20, 1)) + rng.integers(-2, 3, (20, depth)) * (rng.random((20, 1)) < 0.8)
            x = np.concatenate([rng.integers(-128, 128, (20, depth)), near]).clip(-128, 127).astype(np.int8)
            (got,) = op.evaluate(sig, [x, scale, bias])
            exact = steps_of(op, sig, x, scale, bias)
            wrong = got != np.clip(np.rint(exact), -128, 127)
            # Where it isn't what the real number is rounded to, that is next to a tie.
            assert np.all(np.abs(np.abs(exact - np.rint(exact))[wrong] - 0.5) < 1e-4)
            ties += int(wrong.sum())
    assert ties < 20


def test_ties_go_to_even() -> None:
    """A summand half-way between two steps, of an element that is the mean."""
    op, sig = LayerNormalization(), signature((1, 4), (0.1, 0), (0.5, 0))
    bias = np.array([0.25, 0.75, -0.25, -0.75], np.float32)
    (got,) = op.evaluate(sig, [np.full((1, 4), 9, np.int8), np.ones(4, np.float32), bias])
    np.testing.assert_array_equal(got, [[0, 2, 0, -2]])


def test_reciprocal_roots() -> None:
    """Of all powers of 2 and their neighbours, exactly computed."""
    powers = np.uint64(1) << np.arange(2, 63, dtype=np.uint64)
    x = np.concatenate([powers - np.uint64(1), powers, powers + np.uint64(1)])
    root, shift = reciprocal_root(x)
    for value, r, s in zip(x.tolist(), root.tolist(), shift.tolist(), strict=True):
        squared = Fraction(value) * Fraction(r, 2**30) ** 2 / Fraction(2) ** (32 + s)
        assert abs(squared - 1) < Fraction(1, 2**28)


@pytest.mark.parametrize("core", [M7, core_named("cortex-m0")], ids=["m7", "m0"])
@pytest.mark.parametrize("centred", [True, False])
def test_c(core, centred: bool) -> None:
    rng = np.random.default_rng(3)
    for shape in ((1,), (4, 33), (2, 3, 2, 8)):
        scale, bias = (rng.normal(0, 1, shape[-1]).astype(np.float32) for _ in range(2))
        sig = signature(shape, (0.05, 7), (0.03, -4))
        site = site_of(LayerNormalization(1e-5, centred), sig.inputs, [None, scale, bias], sig.output)
        check(layer_normalization, site, core)


@pytest.mark.parametrize("centred", [True, False])
def test_floats(centred: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (5, 7)).astype(np.float32)
    parameters = [rng.normal(0, 1, 7).astype(np.float32) for _ in range(2)]
    check_float(layer_normalization_float, LayerNormalization(1e-5, centred), [x, *parameters], constants=(1, 2))


@pytest.mark.parametrize(
    ("shape", "x", "y", "reason"),
    [
        ((1, MAX_DEPTH + 1), (0.1, 0), (0.1, 0), f"supported are {MAX_DEPTH}"),
        ((2, 5), (1e-12, 0), (0.1, 0), "epsilon is too large"),
    ],
)
def test_refused(shape, x, y, reason: str) -> None:
    assert reason in str(LayerNormalization().unsupported(signature(shape, x, y)))


def test_factors_that_are_too_large() -> None:
    sig, columns = signature((2, 5), (0.1, 0), (1e-9, 0)), np.ones(5, np.float32)
    with pytest.raises(ValueError, match="doesn't fit"):
        LayerNormalization().form(sig, columns, columns)


def test_columns_that_are_others() -> None:
    x, columns = TensorType((2, 5), FLOAT32), TensorType((4,), FLOAT32)
    with pytest.raises(ValueError, match="columns"):
        LayerNormalization().infer([x, columns, columns])
