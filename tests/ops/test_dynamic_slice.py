"""SLICE from a place that is computed, against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import agree
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.dynamic_slice import DynamicSlice


def model(shape, size, dtype, index):
    b = TfliteBuilder()
    x, begin = b.tensor(shape, dtype=dtype), b.tensor((len(shape),), dtype=index)
    y = b.tensor([max(n, 1) for n in size], dtype=dtype)
    b.op("SLICE", [x, begin, b.constant(np.array(size, index))], [y])
    return b, x, begin, y


@pytest.mark.parametrize(
    ("shape", "size", "dtype", "index"),
    [
        ((4, 5, 3), (2, 3, 1), "int8", "int32"),
        ((7,), (3,), "int16", "int64"),
        ((2, 3, 4, 5), (1, 3, 2, 5), "float32", "int32"),
    ],
)
def test_pieces(shape, size, dtype, index):
    b, x, begin, y = model(shape, size, dtype, index)
    rng = np.random.default_rng(0)
    samples = [
        [
            rng.integers(-99, 99, shape).astype(dtype),
            np.array([rng.integers(0, n - m + 1) for n, m in zip(shape, size, strict=True)], index),
        ]
        for _ in range(4)
    ]
    agree(b, [x, begin], [y], samples)


def test_a_place_outside_is_moved_inside():
    """LiteRT reads what lies behind the tensor."""
    x = TensorType((5,), INT8)
    sig = Signature((x, TensorType((1,), INT32)), (TensorType((2,), INT8),))
    for begin, first in ((9, 3), (-4, 0)):
        (y,) = DynamicSlice((2,)).evaluate(sig, [np.arange(5, dtype=np.int8), np.array([begin], np.int32)])
        assert y.tolist() == [first, first + 1]


def test_a_size_that_depends_on_the_place():
    b, x, begin, y = model((4, 5), (2, -1), "int8", "int32")
    with pytest.raises(UnsupportedError, match="its size is -1 along an axis whose begin is computed"):
        import_tflite(b.build([x, begin], [y]), "m", "m.tflite")


@pytest.mark.parametrize(
    ("shape", "count", "one"),
    [((4, 5, 3), 1, 0b1), ((4, 5, 3), 3, 0b101), ((2, 3, 4), 2, 0b11), ((6,), 1, 0b1)],
)
def test_an_element_of_an_array(shape, count, one):
    """STRIDED_SLICE as `x[i]`, `x[i, :, j]` become, also from the end."""
    b, whole = TfliteBuilder(), (1 << count) - 1 - one
    x, begin, end = b.tensor(shape, 0.5, 3), b.tensor((count,), dtype="int32"), b.tensor((count,), dtype="int32")
    y = b.tensor([n for i, n in enumerate(shape) if not one >> i & 1], 0.5, 3)
    strides = b.constant(np.ones(count, np.int32))
    b.op("STRIDED_SLICE", [x, begin, end, strides], [y], BeginMask=whole, EndMask=whole, ShrinkAxisMask=one)
    rng, samples = np.random.default_rng(0), list[list[np.ndarray]]()
    for _ in range(5):
        first = np.array([rng.integers(-n, n) for n in shape[:count]], np.int32)
        samples.append([rng.integers(-128, 128, shape).astype(np.int8), first, first + 1])
    agree(b, [x, begin, end], [y], samples, kernels=False)


def test_a_range_that_is_computed():
    b = TfliteBuilder()
    x, begin, end = b.tensor((4, 5), 0.5, 3), b.tensor((2,), dtype="int32"), b.tensor((2,), dtype="int32")
    y = b.tensor((1, 1), 0.5, 3)
    b.op("STRIDED_SLICE", [x, begin, end, b.constant(np.array([1, 1], np.int32))], [y], ShrinkAxisMask=1)
    with pytest.raises(UnsupportedError, match="supported is that where shrink_axis_mask takes one position"):
        import_tflite(b.build([x, begin, end], [y]), "m", "m.tflite")
