"""REVERSE_SEQUENCE against LiteRT."""

from __future__ import annotations

import numpy as np
import pytest

from tests.ops.agreement import agree
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import INT8, INT32
from tinycompile.errors import ModelFileError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Signature, TensorType
from tinycompile.ops.reverse_sequence import ReverseSequence

CASES = [((3, 5, 2), 1, 0), ((4, 3), 0, 1), ((2, 3, 2, 4, 3), 3, 1), ((2, 4, 2, 3), 1, 3)]


def model(shape, axis, batch_axis, dtype, index):
    b = TfliteBuilder()
    x, y = b.tensor(shape, dtype=dtype), b.tensor(shape, dtype=dtype)
    lengths = b.tensor((shape[batch_axis],), dtype=index)
    b.op("REVERSE_SEQUENCE", [x, lengths], [y], SeqDim=axis, BatchDim=batch_axis)
    return b, x, lengths, y


@pytest.mark.parametrize(("case", "dtype"), list(zip(CASES, ["int16", "float32", "int64", "uint8"], strict=True)))
@pytest.mark.parametrize("index", ["int32", "int64"])
def test_sequences(case, dtype, index):
    """LiteRT has no int8."""
    shape, axis, batch_axis = case
    b, x, lengths, y = model(*case, dtype, index)
    rng = np.random.default_rng(0)
    samples = [
        [
            rng.integers(-99, 99, shape).astype(dtype),
            rng.integers(0, shape[axis], shape[batch_axis], endpoint=True).astype(index),
        ]
        for _ in range(4)
    ]
    agree(b, [x, lengths], [y], samples)


def test_a_length_outside_means_the_nearest_end():
    x = TensorType((2, 3), INT8)
    sig = Signature((x, TensorType((2,), INT32)), (x,))
    data, lengths = np.array([[1, 2, 3], [4, 5, 6]], np.int8), np.array([7, -1], np.int32)
    assert ReverseSequence(1).evaluate(sig, [data, lengths])[0].tolist() == [[3, 2, 1], [4, 5, 6]]


@pytest.mark.parametrize(("axis", "batch_axis"), [(1, 1), (3, 0), (0, -1)])
def test_axes_that_contradict(axis, batch_axis):
    b, x, lengths, y = model((3, 5, 2), 1, 0, "int8", "int32")
    b.ops[0].fields = {"SeqDim": axis, "BatchDim": batch_axis}
    with pytest.raises(ModelFileError, match="seq_dim and batch_dim are"):
        import_tflite(b.build([x, lengths], [y]), "m", "m.tflite")
