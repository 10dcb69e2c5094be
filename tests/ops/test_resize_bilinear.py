"""RESIZE_BILINEAR against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ops.oracle import check, full_range, scales, seeds, thorough, zero_points
from tests.support.litert import run
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import FLOAT32
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.resize_bilinear import ResizeBilinear

sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
resized = st.tuples(st.integers(1, 20), st.integers(1, 40))
modes = st.sampled_from([{}, {"AlignCorners": True}, {"HalfPixelCenters": True}])


def model(size, y_size, channels, mode, quant, dtype="int8"):
    b, (x_quant, y_quant) = TfliteBuilder(), quant
    x = b.tensor((1, *size, channels), *x_quant, dtype=dtype)
    y = b.tensor((1, *y_size, channels), *y_quant, dtype=dtype)
    op = b.op("RESIZE_BILINEAR", [x, b.constant(np.array(y_size, np.int32))], [y], **mode)
    op.version = 3
    return b, x, y


@thorough
@given(sizes, resized, st.integers(1, 3), modes, scales, zero_points, zero_points, seeds)
def test_random(size, y_size, channels, mode, scale, zx, zy, seed):
    b, x, y = model(size, y_size, channels, mode, ((scale, zx), (scale * 2, zy)))
    check(b, [y], {x: full_range(np.random.default_rng(seed), (1, *size, channels))})


@pytest.mark.parametrize("mode", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}])
@pytest.mark.parametrize("y_size", [(14, 18), (21, 9), (3, 4), (1, 1), (7, 9), (56, 72), (10, 13)])
def test_usual_sizes(y_size, mode):
    """Twice, four times, half: many sums are exactly between two outputs."""
    b, x, y = model((7, 9), y_size, 8, mode, ((0.5, 3), (0.5, 3)))
    rng = np.random.default_rng(0)
    for samples in (full_range(rng, (1, 7, 9, 8)), rng.integers(-2, 3, (1, 7, 9, 8)).astype(np.int8)):
        check(b, [y], {x: samples})


@thorough
@given(sizes, resized, modes, seeds)
def test_floats(size, y_size, mode, seed):
    """The meaning alone: in float32 weights and sums are LiteRT's up to the order of additions."""
    b, x, y = model(size, y_size, 2, mode, ((), ()), "float32")
    sample = np.random.default_rng(seed).normal(size=(1, *size, 2)).astype(np.float32)
    expected = run(b.build([x], [y]), [sample])[y]
    op = ResizeBilinear(y_size, "AlignCorners" in mode, "HalfPixelCenters" in mode)
    sig = Signature((TensorType(sample.shape, FLOAT32),), (TensorType(expected.shape, FLOAT32),))
    assert op.unsupported(sig) is None
    (result,) = op.evaluate(sig, [sample])
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def refusal(*arguments):
    b, x, y = model(*arguments)
    with pytest.raises(UnsupportedError) as refused:
        import_tflite(b.build([x], [y]), "model", "model.tflite")
    return str(refused.value)


def test_what_it_refuses():
    same = ((0.5, 3), (0.5, 3))
    assert "are both true" in refusal((3, 3), (6, 6), 1, {"AlignCorners": True, "HalfPixelCenters": True}, same)
    assert "lead beyond the input at the size [2000, 3]" in refusal((3, 3), (2000, 3), 1, {}, same)
