"""Operators that become several of ours (`frontend/tflite_composed.py`), against LiteRT."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from ai_edge_litert.interpreter import OpResolverType

from tests.ops.agreement import agree
from tests.ops.floats import normal
from tests.support.tflite_builder import NONE, RELU6, SAME, VALID, TfliteBuilder
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Array

DEFAULT = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


def one(kind: str, operands: Sequence[Array], known: Sequence[int], shape: Sequence[int], **options: int):
    """(builder, inputs, output, sample); `known`: operands that are constants. The result is of the inputs' type."""
    b, inputs, samples, places = TfliteBuilder(), list[int](), list[Array](), list[int]()
    for index, value in enumerate(operands):
        if index in known:
            places.append(b.constant(value))
        else:
            places.append(b.tensor(value.shape, dtype=value.dtype.name))
            inputs.append(places[-1])
            samples.append(value)
    y = b.tensor(shape, dtype=samples[0].dtype.name)
    b.op(kind, places, [y], **options)
    return b, inputs, y, samples


def compare(kind: str, operands: Sequence[Array], known: Sequence[int], shape: Sequence[int], **options: int) -> None:
    b, inputs, y, samples = one(kind, operands, known, shape, **options)
    agree(b, inputs, [y], [samples], tolerance=1e-6, resolver=DEFAULT, kernels=False)


def i32(*values: object) -> Array:
    return np.array(values[0] if len(values) == 1 else values, np.int32)


@pytest.mark.parametrize("activation", [NONE, RELU6])
@pytest.mark.parametrize(("padding", "size"), [(SAME, (3, 2)), (VALID, (2, 2))])
def test_l2_pool(padding, size, activation):
    compare(
        "L2_POOL_2D", [normal(2, 5, 4, 3)], (), (2, *size, 3), FilterHeight=3, FilterWidth=2, StrideH=2, StrideW=2,
        Padding=padding, FusedActivationFunction=activation,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "int8", "int16", "int32", "int64"])
def test_diagonals(dtype):
    rng = np.random.default_rng(0)
    compare("MATRIX_DIAG", [rng.integers(-9, 9, (2, 3)).astype(dtype)], (), (2, 3, 3))
    for shape in ((2, 3, 4), (2, 4, 3), (3, 3)):
        x, d = (rng.integers(-9, 9, s).astype(dtype) for s in (shape, (*shape[:-2], 3)))
        compare("MATRIX_SET_DIAG", [x, d], (), shape)


SPARSE = {
    "matrix": (i32([[0, 1], [1, 2], [1, 0]]), i32([2, 3]), normal(3)),
    "row": (i32([1, 3]), i32([5]), normal(2)),
    "one value": (i32([[0, 1], [1, 2]]), i32([2, 3]), np.array(5, np.float32)),
    "one place": (i32(2), i32([4]), np.array(5, np.float32)),
}


@pytest.mark.parametrize("case", SPARSE.values(), ids=SPARSE)
def test_sparse_to_dense(case):
    places, shape, values = case
    compare("SPARSE_TO_DENSE", [places, shape, values, np.array(9, np.float32)], (0, 1, 3), shape.tolist())


def test_a_place_twice_is_refused():
    operands = [i32([[1], [1]]), i32([3]), normal(2), np.array(9, np.float32)]
    b, inputs, y, _ = one("SPARSE_TO_DENSE", operands, (0, 1, 3), (3,))
    with pytest.raises(UnsupportedError, match="two of its indices are the same place"):
        import_tflite(b.build(inputs, [y]), "m", "m.tflite")


@pytest.mark.parametrize("dtype", ["float32", "int32"])
@pytest.mark.parametrize("kind", ["SUM", "MAX", "MIN", "PROD"])
def test_unsorted_segments(kind, dtype):
    """Of a number below 0 LiteRT takes no notice."""
    data = np.round(normal(2, 3, 4)).astype(dtype)
    ids = i32([[0, 3, 0], [2, -1, 3]])
    compare(f"UNSORTED_SEGMENT_{kind}", [data, ids, i32([5])], (1, 2), (5, 4))
    compare(f"UNSORTED_SEGMENT_{kind}", [data, i32([1, 0]), i32([2])], (1, 2), (2, 3, 4))


@pytest.mark.parametrize(
    "kind", ["UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "UNSORTED_SEGMENT_SUM", "SEGMENT_SUM"]
)
def test_segments_of_other_types_are_refused(kind):
    """Which LiteRT doesn't prepare; some have no lowest value for a segment without elements."""
    for dtype in ("bool", "int64", "int8"):
        operands = [np.zeros((3, 2), dtype), i32([0, 1, 1]), i32([2])][: 2 if kind == "SEGMENT_SUM" else 3]
        b, inputs, y, _ = one(kind, operands, range(1, len(operands)), (2, 2))
        with pytest.raises(UnsupportedError, match=f"the operand is {dtype}, supported are float32 and int32"):
            import_tflite(b.build(inputs, [y]), "m", "m.tflite")


def test_sorted_segments():
    compare("SEGMENT_SUM", [normal(5, 3), i32([0, 0, 1, 2, 2])], (1,), (3, 3))


@pytest.mark.parametrize(
    ("kind", "operands", "known", "message"),
    [
        ("SEGMENT_SUM", [normal(3, 2), i32([0, 2, 2])], (1,), "the segments begin with"),
        ("UNSORTED_SEGMENT_SUM", [normal(3, 2), i32([0, 7, 2]), i32([3])], (1, 2), "segment 7 of 3"),
        ("UNSORTED_SEGMENT_MAX", [normal(3, 2), i32([0, 1, 2]), i32([3])], (2,), "computed at run time"),
        ("MATRIX_SET_DIAG", [normal(3, 2), normal(3)], (), "a diagonal"),
        ("DILATE", [normal(3, 2), i32([2, 0]), np.array(0, np.float32)], (1, 2), r"distances \[2, 0\]"),
    ],
)
def test_what_is_refused(kind, operands, known, message):
    b, inputs, y, _ = one(kind, operands, known, (3, 2))
    with pytest.raises((UnsupportedError, ModelFileError), match=message):
        import_tflite(b.build(inputs, [y]), "m", "m.tflite")


@pytest.mark.parametrize(("steps", "shape"), [((2, 1, 3), (3, 3, 10)), ((1, 1, 1), (2, 3, 4)), ((4, 2, 1), (5, 5, 4))])
def test_dilate(steps, shape):
    for dtype in ("float32", "int32"):
        data = np.arange(24).reshape(2, 3, 4).astype(dtype)
        compare("DILATE", [data, i32(list(steps)), np.array(9, dtype)], (1, 2), shape)


def test_a_diagonal_runs():
    """The C of one of them, on the values that flow through it."""
    b, inputs, y, samples = one("MATRIX_SET_DIAG", [normal(2, 3, 4), normal(2, 3)], (), (2, 3, 4))
    agree(b, inputs, [y], [samples])
