"""Tensors of every element type are read from a file; what can't be compiled of them is refused by its own name."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from ai_edge_litert import schema_py_generated as schema

from tests.support.onnx_builder import OnnxBuilder
from tests.support.tflite_builder import TYPES, TfliteBuilder
from tinycompile.dtypes import BOOL, INT2, INT4, INT8, INT16, UINT4, DType
from tinycompile.errors import UnsupportedError
from tinycompile.frontend import load
from tinycompile.frontend.survey import survey
from tinycompile.frontend.tflite import import_tflite
from tinycompile.frontend.tflite_file import COMPILED, DTYPES, STORED, TYPE_NAMES, UNSIGNED, read_model
from tinycompile.ir import TensorType

SHAPE = (3, 5)


def weights(dtype: DType) -> np.ndarray:
    return (np.arange(15).reshape(SHAPE) % 2).astype(dtype.carrier)


def fully_connected(dtype: DType) -> bytes:
    b = TfliteBuilder()
    x, y = b.tensor((1, 5), 1.0), b.tensor((1, 3), 1.0)
    quantized = dtype.is_integer and dtype.bits <= 16
    data = dtype.pack(weights(dtype)).tobytes()
    w = b.tensor(SHAPE, 0.5 if quantized else None, dtype=dtype.name, name="w", data=data)
    b.op("FULLY_CONNECTED", [x, w], [y])
    return b.build([x], [y])


def test_codes_are_those_of_litert() -> None:
    theirs = {name: code for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
    assert {name.upper(): code for name, code in TYPES.items()}.items() <= theirs.items()
    assert {dtype.name.upper(): code for code, dtype in DTYPES.items()}.items() <= theirs.items()
    assert {name: code for code, name in TYPE_NAMES.items()}.items() <= theirs.items()


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_a_constant_of_any_type_is_read(dtype: DType, tmp_path: Path) -> None:
    content = fully_connected(dtype)
    (found,) = (t for t in read_model(content, "m.tflite", None).tensors if t.name == "w")
    assert found.type is not None and found.data is not None
    assert str(found.type) == f"{dtype.name}[3x5]" and found.type.mismatch(found.data) is None
    np.testing.assert_array_equal(found.data, weights(dtype))
    (tmp_path / "m.tflite").write_bytes(content)
    (seen,) = (t for t in survey(tmp_path / "m.tflite").weights if t.name == "w")
    assert (seen.type_name, seen.dtype, seen.bytes) == (dtype.name, dtype, TensorType(SHAPE, dtype).bytes)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_weights_of_another_type_are_refused_by_its_name(dtype: DType) -> None:
    if dtype in (INT8, INT4, INT2):
        (node,) = import_tflite(fully_connected(dtype), "m", "m.tflite").nodes
        assert node.op.kind == "fully_connected"
        return
    known = dtype in COMPILED or dtype in STORED
    reason = f"the weight tensor is {dtype.name}," if known else f"'w' has the type {dtype.name.upper()}"
    with pytest.raises(UnsupportedError, match=reason):
        import_tflite(fully_connected(dtype), "m", "m.tflite")


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES.values() if dtype not in (*COMPILED, *UNSIGNED)], ids=str)
@pytest.mark.parametrize("kind", ["input", "output"])
def test_no_operator_moves_what_it_does_not_know(dtype: DType, kind: str) -> None:
    """RESHAPE copies bytes, and asks for no type."""
    b = TfliteBuilder()
    x, y = b.tensor((2, 3), dtype=dtype.name, name="x"), b.tensor((6,), dtype=dtype.name, name="y")
    c = b.constant(np.array([6], np.int32))
    b.op("RESHAPE", [x, c], [y])
    given = [x]
    if kind == "output":
        b.tensors[x].data = dtype.pack(np.zeros(6, dtype.carrier)).tobytes()
        given = [b.tensor((1,), 1.0)]
    with pytest.raises(UnsupportedError, match=f"has the type {dtype.name.upper()}"):
        import_tflite(b.build(given, [y]), "m", "m.tflite")


@pytest.mark.parametrize("dtype", UNSIGNED, ids=str)
def test_operators_take_the_unsigned_integers_that_litert_has_them_for(dtype: DType) -> None:
    b = TfliteBuilder()
    x, y, z = (b.tensor((6,), dtype=dtype.name, name=name) for name in "xyz")
    b.op("RESHAPE", [x, b.constant(np.array([6], np.int32))], [y])
    assert import_tflite(b.build([x], [y]), "m", "m.tflite").nodes
    b.op("ADD", [x, y], [z], FusedActivationFunction=0)
    with pytest.raises(UnsupportedError, match=f"ADD 'z' .* has the type {dtype.name.upper()}"):
        import_tflite(b.build([x], [z]), "m", "m.tflite")


@pytest.mark.parametrize("dtype", [INT4, UINT4, INT16, BOOL], ids=str)
def test_onnx_weights_of_another_type(dtype: DType, tmp_path: Path) -> None:
    """QLinearMatMul says the types of its operands by them."""
    b, path = OnnxBuilder(), tmp_path / "m.onnx"
    stored = weights(dtype).T.astype(getattr(ml_dtypes, dtype.name, dtype.carrier))
    w, zero = b.constant(stored), b.constant(np.zeros((), stored.dtype))
    x, scale = b.input((1, 5), "int8"), b.constant(np.float32(0.5))
    parameters = b.parameters(0.5, 0, "int8")
    b.output(b.node("QLinearMatMul", x, *parameters, w, scale, zero, *parameters), "int8")
    onnx.save(b.model(), path)
    with pytest.raises(UnsupportedError, match=f"the weights are {dtype.name}, supported are int8 and uint8"):
        load(path)
