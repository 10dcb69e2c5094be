"""Sizes that a file says, as operands, as options and as products of both: what nothing holds is refused before it is
allocated.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import pytest

from tests.support.onnx_builder import OnnxBuilder, imported
from tests.support.tflite_builder import TfliteBuilder
from tinycompile.dtypes import FLOAT32, INT8
from tinycompile.errors import ModelFileError, UnsupportedError
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import MAX_RAM_BYTES, MAX_TENSOR_BYTES, ImpossibleSizeError, TensorType, bounded

MANY, HUGE = 1 << 20, (1 << 31) - 1


@contextmanager
def little_memory() -> Generator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


def tflite(kind: str, shape: tuple[int, ...], *operands: object, first: int = 0, **options: Any) -> bytes:
    """An operator on int8 (operand `first`) and constants of int32, whose result had a dynamic shape."""
    b = TfliteBuilder()
    x = b.tensor(shape, 0.1, 0)
    values = [b.constant(np.array(value, np.int32)) for value in operands]
    rank = {"MATRIX_DIAG": len(shape) + 1, "SPARSE_TO_DENSE": 2}.get(kind, len(shape))
    y = b.tensor((1,) * rank, 0.1, 0)
    b.tensors[y].signature = [-1] * rank
    values.insert(first, x)
    if kind == "SPARSE_TO_DENSE":
        values.append(b.constant(np.array(0, np.int8), 0.1))
    b.op(kind, values, [y], **options)
    return b.build([x], [y])


TFLITE: dict[str, Callable[[], bytes]] = {
    "pad": lambda: tflite("PAD", (1, 4, 4, 1), [[0, 0], [HUGE, HUGE], [HUGE, HUGE], [0, 0]]),
    "tile": lambda: tflite("TILE", (4, 4), [MANY, MANY]),
    "broadcast": lambda: tflite("BROADCAST_TO", (1, 1), [MANY, MANY]),
    "resize": lambda: tflite("RESIZE_BILINEAR", (1, 4, 4, 1), [HUGE, HUGE]),
    "nearest": lambda: tflite("RESIZE_NEAREST_NEIGHBOR", (1, 4, 4, 1), [HUGE, HUGE]),
    "diagonal": lambda: tflite("MATRIX_DIAG", (MANY,)),
    "sparse": lambda: tflite("SPARSE_TO_DENSE", (1,), [[0, 0]], [MANY, MANY], first=2),
    "dilate": lambda: tflite("DILATE", (4, 4), [HUGE, HUGE], 0),
    "input": lambda: tflite("RELU", (MAX_RAM_BYTES + 1,)),
}


@pytest.mark.parametrize("case", TFLITE)
def test_tflite(case: str) -> None:
    content = TFLITE[case]()
    with (
        little_memory(),
        pytest.raises(UnsupportedError, match=r"would have more than [\d,]+ bytes|supported are 33,554"),
    ):
        import_tflite(content, "m", "m.tflite")


def onnx_model(
    kind: str, *operands: object, shape: tuple[int, ...] = (1, 1, 4, 4), **attributes: Any
) -> onnx.ModelProto:
    b = OnnxBuilder()
    x = b.input(shape)
    b.output(b.node(kind, x, *(v if isinstance(v, str) else b.constant(v) for v in operands), **attributes))
    return b.model()


ONNX: dict[str, Callable[[], onnx.ModelProto]] = {
    "expand": lambda: onnx_model("Expand", np.array([MANY, MANY, 4, 4])),
    "tile": lambda: onnx_model("Tile", np.array([1, 1, MANY, MANY])),
    "pad": lambda: onnx_model("Pad", np.array([0, 0, HUGE, HUGE, 0, 0, HUGE, HUGE])),
    "repeated border": lambda: onnx_model("Pad", np.array([0, 0, HUGE, 0, 0, 0, HUGE, 0]), mode="edge"),
    "resize": lambda: onnx_model("Resize", "", "", np.array([1, 1, HUGE, HUGE]), mode="linear"),
    "input": lambda: onnx_model("Relu", shape=(MAX_RAM_BYTES,)),
}


@pytest.mark.parametrize("case", ONNX)
def test_onnx(case: str) -> None:
    model = ONNX[case]()
    with (
        little_memory(),
        pytest.raises((ModelFileError, UnsupportedError), match=r"claims the shape|supported are 33,5"),
    ):
        imported(model, floats="all")


def test_every_tensor_is_bounded() -> None:
    assert bounded((1 << 14, 1 << 14)) == (1 << 14, 1 << 14)
    for shape, dtype in (((MAX_TENSOR_BYTES + 1,), INT8), ((MAX_TENSOR_BYTES // 4 + 1,), FLOAT32), ((-1, 2), INT8)):
        with pytest.raises(ImpossibleSizeError, match="no tensor has the shape"):
            TensorType(shape, dtype)
    with pytest.raises(ImpossibleSizeError):  # beside a size of 0, too, and beyond any integer of C
        TensorType((0, 1 << 60, 1 << 60), INT8)
