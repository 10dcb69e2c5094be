"""Element types: sizes, packing against other implementations of it, and what holds them to their ranges."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.conftest import ROOT
from tests.support.litert import Oracle
from tests.support.tflite_builder import TfliteBuilder
from tinycompile import dtypes, interpreter
from tinycompile.dtypes import BOOL, FLOAT16, FLOAT32, INT2, INT4, INT8, INT64, UINT2, UINT4, UINT16, DType
from tinycompile.errors import SamplesError
from tinycompile.ir import Graph, Node, State, TensorType, verify
from tinycompile.ops.identity import Identity

ALL = tuple(value for value in vars(dtypes).values() if isinstance(value, DType))
SUB_BYTE = (INT2, UINT2, INT4, UINT4)
COUNTS = (0, 1, 2, 3, 4, 5, 7, 8, 33)


def elements(dtype: DType, count: int) -> np.ndarray:
    """Values from all of the type's range, both ends among them."""
    rng = np.random.default_rng(count)
    if dtype.is_float or dtype == BOOL:
        return rng.integers(0, 2 if dtype == BOOL else 100, count).astype(dtype.carrier)
    low, high = dtype.range
    values = rng.integers(low, high, count, dtype.carrier, endpoint=True)
    values[:2] = np.array([low, high], dtype.carrier)[:count]
    return values


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_type_is_found_by_its_name_and_holds_its_range(dtype: DType) -> None:
    assert DType.of(dtype.name) is DType.find(dtype.name) is dtype
    assert dtype.carrier.itemsize * 8 == max(dtype.bits, 8)
    if not dtype.is_sub_byte:
        assert DType.of(dtype.carrier) is dtype and dtype.item_bytes == dtype.carrier.itemsize
    if dtype.is_integer:
        low, high = dtype.range
        assert high - low + 1 == 2**dtype.bits and (low < 0) == dtype.is_signed
        assert np.iinfo(dtype.carrier).min <= low and high <= np.iinfo(dtype.carrier).max


def test_names_without_a_type() -> None:
    assert DType.find("complex64") is None and DType.find(np.dtype("U3")) is None
    with pytest.raises(ValueError, match="complex64 is no element type; there are int2, "):
        DType.of("complex64")
    for dtype, what in ((FLOAT32, "range"), (BOOL, "range"), (INT4, "item_bytes")):
        with pytest.raises(ValueError, match=dtype.name):
            getattr(dtype, what)


@pytest.mark.parametrize("dtype", ALL, ids=str)
@pytest.mark.parametrize("count", COUNTS)
def test_what_is_packed_comes_out(dtype: DType, count: int) -> None:
    values = elements(dtype, count)
    packed = dtype.pack(values)
    assert packed.dtype == np.uint8 and packed.shape == (dtype.bytes_for(count),) == (-(-count * dtype.bits // 8),)
    for data in (packed, packed.tobytes()):
        back = dtype.unpack(data, count)
        assert back.dtype == dtype.carrier and np.array_equal(back, values)
    rows = dtype.unpack(np.stack([packed, dtype.pack(values[::-1])]), count)
    assert np.array_equal(rows, np.stack([values, values[::-1]]))


@pytest.mark.parametrize("dtype", SUB_BYTE, ids=str)
@pytest.mark.parametrize("count", COUNTS[1:])
def test_packing_is_onnx(dtype: DType, count: int) -> None:
    values = elements(dtype, count)
    theirs = numpy_helper.from_array(values.astype(getattr(ml_dtypes, dtype.name)))
    assert theirs.data_type == getattr(TensorProto, dtype.name.upper())
    assert theirs.raw_data == dtype.pack(values).tobytes()


def test_packing_is_tflites() -> None:
    """A fully connected layer with int4 weights, of which each input picks a column."""
    weights = np.array([[1, -8, 7], [-3, 4, -5]], np.int8)
    b = TfliteBuilder()
    x, y = b.tensor((3, 3), 1.0), b.tensor((3, 2), 1.0)
    w = b.tensor(weights.shape, 1.0, dtype="int4", data=INT4.pack(weights).tobytes())
    b.op("FULLY_CONNECTED", [x, w], [y])
    found = Oracle(b.build([x], [y])).run([np.eye(3, dtype=np.int8)])[y]
    np.testing.assert_array_equal(found, weights.T)


def test_a_buffer_is_little_endian() -> None:
    assert UINT16.pack(np.array([0x1234, 5], np.uint16)).tolist() == [0x34, 0x12, 5, 0]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_the_elements_of_a_c_array_are_the_bytes_of_the_buffer(dtype: DType) -> None:
    values = elements(dtype, 7)
    array = dtype.c_elements(values)
    assert array.dtype == {"float": np.float32, "double": np.float64}.get(dtype.ctype, dtype.ctype.removesuffix("_t"))
    assert array.tobytes() == dtype.pack(values).tobytes()
    if dtype.is_integer and not dtype.is_sub_byte:
        np.testing.assert_array_equal(array, values)


def test_wrong_arrays_and_buffers() -> None:
    with pytest.raises(ValueError, match="int16 values, int4 is held in int8"):
        INT4.pack(np.zeros(3, np.int16))
    with pytest.raises(ValueError, match="values from -9 to 7, int4 has -8 to 7"):
        INT4.pack(np.array([7, -9], np.int8))
    with pytest.raises(ValueError, match="3 bytes, 7 elements of uint2 have 2"):
        UINT2.unpack(bytes(3), 7)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_a_tensor_is_counted_in_bits(dtype: DType) -> None:
    t = TensorType((3, 1, 5), dtype)
    assert (t.bits, t.bytes) == (15 * dtype.bits, -(-15 * dtype.bits // 8))
    assert str(t) == f"{dtype.name}[3x1x5]"
    assert json.dumps(dtype.name) in json.dumps({"dtype": t.dtype.name})


def one_value(constant: np.ndarray, dtype: DType) -> Graph:
    """A constant, copied to the output."""
    t = TensorType((3,), dtype)
    return Graph("g", (), ("y",), (Node("n", Identity(), ("c",), ("y",)),), {"c": t, "y": t}, {"c": constant})


def test_verify_holds_constants_to_their_type() -> None:
    verify(one_value(np.array([-8, 0, 7], np.int8), INT4))
    verify(one_value(np.zeros(3, np.float16), FLOAT16))
    for constant, dtype, complaint in (
        (np.array([-8, 0, 8], np.int8), INT4, "values from -8 to 8, int4 has -8 to 7"),
        (np.array([0, 0, 16], np.uint8), UINT4, "values from 0 to 16, uint4 has 0 to 15"),
        (np.zeros(3, np.int16), INT4, "int16 values, int4 is held in int8"),
        (np.zeros(3, np.int32), INT64, "int32 values, int64 is held in int64"),
        (np.zeros(2, np.int8), INT8, r"the shape 2, its type says int8\[3\]"),
    ):
        with pytest.raises(ValueError, match=f"constant 'c' has {complaint}"):
            verify(one_value(constant, dtype))


def test_verify_and_interpreter_hold_states_and_inputs_to_their_type() -> None:
    t = TensorType((3,), INT4)
    wide, good = np.array([0, 0, 8], np.int8), np.zeros(3, np.int8)
    types = {"x": t, "y": t, "s": t}
    graph = Graph(
        "g", ("x",), ("y",), (Node("n", Identity(), ("x",), ("y",)),), types, {}, {}, (State("s", good, "y"),)
    )
    verify(graph)
    np.testing.assert_array_equal(interpreter.run(graph, [good])["y"], good)
    with pytest.raises(SamplesError, match="input 'x' has values from 0 to 8, int4 has"):
        interpreter.run(graph, [wide])
    with pytest.raises(ValueError, match=r"state 's' is int4\[3\], it begins with values from 0 to 8"):
        verify(replace(graph, states=(State("s", wide, "y"),)))


COMPARISONS = """\
from tinycompile.dtypes import INT8
from tinycompile.ir import TensorType

def f(t: TensorType, name: str) -> tuple[object, ...]:
    return (
        t.dtype == INT8 or t.dtype in (INT8,),
        t.dtype == "int8",
        t.dtype != name,
        {"int8": 1}[t.dtype],
        TensorType((1,), "int8"),
    )
"""
WRONG = range(7, 11)
"""Lines of it."""


def test_pyright_objects_to_names_of_types(tmp_path: Path) -> None:
    (tmp_path / "compare.py").write_text(COMPARISONS)
    settings = {"include": ["."], "extraPaths": [str(ROOT)], "typeCheckingMode": "strict"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(result.stdout)["generalDiagnostics"]
    assert sorted(each["range"]["start"]["line"] + 1 for each in found) == list(WRONG), result.stdout


def named(tree: ast.Module) -> Iterator[int]:
    """Lines where `x.dtype` is compared with the name of a type, alone or among others; pyright lets `in` pass."""
    names = {dtype.name for dtype in ALL}
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.Compare)):
        sides = [node.left, *node.comparators]
        types = [side for side in sides if isinstance(side, ast.Attribute) and side.attr == "dtype"]
        said = {each.value for side in sides for each in ast.walk(side) if isinstance(each, ast.Constant)}
        if names & said and any(ast.unparse(each) != "options.dtype" for each in types):
            yield node.lineno


def test_no_module_compares_a_type_with_a_name() -> None:
    assert list(named(ast.parse("t.dtype in ('int8', x)\nt.dtype == 'int4'\nt.dtype == INT8"))) == [1, 2]
    found = list[str]()
    for path in (path for folder in ("tinycompile", "tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")):
        if path.name != "options.py":  # whose `dtype` is what a user writes
            found += [f"{path.relative_to(ROOT)}:{line}" for line in named(ast.parse(path.read_text()))]
    assert found == []


def test_onnx_names_its_types_as_we_do() -> None:
    for dtype in ALL:
        code = {"float32": "FLOAT", "float64": "DOUBLE"}.get(dtype.name, dtype.name.upper())
        assert DType.of(np.dtype(helper.tensor_dtype_to_np_dtype(getattr(TensorProto, code)))) is dtype
