"""Conversions between all element types: the C against the definition, and the definition against onnx's own."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import ml_dtypes
import numpy as np
import pytest
from onnx import numpy_helper

from tests.support.onnx_nodes import run_as_c
from tinycompile import interpreter
from tinycompile.dtypes import BFLOAT16, BOOL, FLOAT16, FLOAT32, FLOAT64, INT2, INT4, INT64, SMALL_FLOATS, UINT4, DType
from tinycompile.ir import Array, Graph, Node, Signature, TensorType
from tinycompile.ops.cast import Cast, Rounding

EIGHT_BITS = [t for t in SMALL_FLOATS if t.bits == 8 and t.name != "float8_e8m0fnu"]
STORED = (FLOAT16, BFLOAT16, FLOAT64, *SMALL_FLOATS, INT2, INT4, UINT4)


def floats() -> Array:
    """Ends of all formats' ranges, halfway between neighbours, numbers without an implicit 1, and any sizes."""
    ends = [0.0, 0.5, 1.75, 240, 248, 448, 464, 480, 57344, 61440, 65504, 65519, 65520, 3.39e38, np.inf, np.nan]
    small = [2.0**-14, 2.0**-24, 2.0**-25, 1.5 * 2.0**-25, 2.0**-9, 2.0**-10, 1e-40, 5.9e-39, 6e-39, 0.25, 0.75, 2.5]
    rng = np.random.default_rng(0)
    some = rng.normal(size=300) * 10.0 ** rng.integers(-8, 8, 300)
    return np.concatenate([np.array(ends + small), -np.array(ends + small), some]).astype(np.float32)


def values(dtype: DType) -> Array:
    if dtype.is_float:
        return np.arange(1 << dtype.bits, dtype=np.uint8).view(dtype.carrier) if dtype.bits <= 8 else _cast(dtype)
    if dtype == BOOL:
        return np.array([True, False])
    low, high = dtype.range
    return np.array([low, 0, 1, high, high // 2, *range(0, min(high, 600), 7)], dtype.carrier)


def _cast(dtype: DType) -> Array:
    with np.errstate(over="ignore"):
        return floats().astype(dtype.carrier)


def _check(inputs: dict[str, DType], casts: list[tuple[str, Cast]], folder: Path) -> None:
    """Conversions of some inputs, in one program."""
    given = {name: values(dtype) for name, dtype in inputs.items()}
    types = {name: TensorType(given[name].shape, dtype) for name, dtype in inputs.items()}
    results = [f"y{i}" for i in range(len(casts))]
    for result, (name, op) in zip(results, casts, strict=True):
        types[result] = TensorType(given[name].shape, op.dtype)
    nodes = [Node(f"n_{y}", op, (x,), (y,)) for y, (x, op) in zip(results, casts, strict=True)]
    graph = Graph("casts", tuple(inputs), tuple(results), tuple(nodes), types, {})
    feeds = list(given.values())
    meant = interpreter.run(graph, feeds)
    for y, cast, got in zip(results, casts, run_as_c(graph, feeds, folder), strict=True):
        assert got.tobytes() == np.ascontiguousarray(meant[y]).tobytes(), cast


def test_from_float32_as_c(tmp_path: Path) -> None:
    """To all types, in every way of rounding."""
    casts = [Cast(t) for t in (*STORED, INT64, BOOL)]
    casts += [Cast(t, saturate=False) for t in SMALL_FLOATS if t.bits == 8]
    casts += [Cast(t, rounding=rounding) for t in SMALL_FLOATS[4:5] for rounding in ("nearest", "down")]
    _check({"x": FLOAT32}, [("x", op) for op in casts], tmp_path)


def test_from_all_types_as_c(tmp_path: Path) -> None:
    sources = {f"x{i}": t for i, t in enumerate((*STORED, INT64, BOOL))}
    targets = (FLOAT32, FLOAT16, INT4)
    _check(sources, [(x, Cast(t)) for x, source in sources.items() for t in targets if t != source], tmp_path)


@pytest.mark.parametrize("dtype", EIGHT_BITS, ids=str)
def test_saturation_is_onnx_s(dtype: DType) -> None:
    x = floats()
    types = Signature((TensorType(x.shape, FLOAT32),), (TensorType(x.shape, dtype),))
    (found,) = Cast(dtype).evaluate(types, [x])
    expected = numpy_helper.saturate_cast(x, dtype.carrier)
    np.testing.assert_array_equal(found.view(np.uint8), np.asarray(expected).view(np.uint8))


@pytest.mark.parametrize("rounding", get_args(Rounding))
def test_powers_of_two_are_onnx_s(rounding: Rounding) -> None:
    x, dtype = floats(), next(t for t in SMALL_FLOATS if t.name == "float8_e8m0fnu")
    types = Signature((TensorType(x.shape, FLOAT32),), (TensorType(x.shape, dtype),))
    (found,) = Cast(dtype, rounding=rounding).evaluate(types, [x])
    expected = numpy_helper.to_float8e8m0(x, True, rounding)
    np.testing.assert_array_equal(found.view(np.uint8), expected.view(np.uint8))
    assert found.dtype == ml_dtypes.float8_e8m0fnu
