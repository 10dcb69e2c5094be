"""Outputs that are something else as well: an input, a constant, another output; against onnxruntime."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

import tinycompile
from tests.frontend.attributes import onnxruntime_results
from tinycompile import interpreter
from tinycompile.frontend.onnx import import_onnx
from tinycompile.ir import verify
from tinycompile.passes import optimize

ROLES = ["x", "w", "u", "c", "y", "xy", "yx", "yy", "cy", "cc", "ky", "iy", "by", "ny", "sy", "ry", "xwu", "cxxyyrkwnu"]
"""x, w, u: inputs of float32, int8, uint8; c, k, i, b: initialisers of float32, int8, int64, bool; n: a Constant;
s: the shape of x; y: computed; r: y in another shape."""
QUANTISED = ["q", "qx", "qq", "qd", "dd", "qw", "qk", "vqdv"]
"""q: y as int8; v: as uint8; d: dequantised again."""
SHAPES = {"x": (1, 2, 3, 4), "w": (1, 5), "u": (1, 2, 3, 3)}


def model(outputs: str, opset: int, *, declared: bool) -> onnx.ModelProto:
    used = {*outputs, "x", "y"}
    types = {"x": np.float32, "w": np.int8, "u": np.uint8}
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(types[n])), SHAPES[n])
        for n in "xwu"
        if n in used
    ]
    constants = {
        "c": np.arange(6, dtype=np.float32).reshape(2, 3) - 2,
        "k": np.arange(-4, 4, dtype=np.int8),
        "i": np.array([2**40, -3], np.int64),
        "b": np.array([True, False, True]),
        "step": np.array(0.05, np.float32),
        "zero": np.array(-3, np.int8),
        "zero_v": np.array(120, np.uint8),
        "rows": np.array([3, 8], np.int64),
    }
    nodes = [helper.make_node("Tanh", ["x"], ["y"])]
    if "r" in used:
        nodes.append(helper.make_node("Reshape", ["y", "rows"], ["r"]))
    if "n" in used:
        nodes.append(helper.make_node("Constant", [], ["n"], value=numpy_helper.from_array(constants["c"] * 2)))
    if "s" in used:
        nodes.append(helper.make_node("Shape", ["x"], ["s"]))
    if used & set("qd"):
        nodes.append(helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["q"]))
    if "d" in used:
        nodes.append(helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["d"]))
    if "v" in used:
        nodes.append(helper.make_node("QuantizeLinear", ["y", "step", "zero_v"], ["v"]))
    read = {name for node in nodes for name in node.input} | used
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items() if name in read]
    results = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "g", inputs, results, initializers)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    if declared:
        shaped = onnx.shape_inference.infer_shapes(made).graph
        known = {
            v.name: v for v in (*shaped.output, *shaped.value_info, *shaped.input) if v.type.HasField("tensor_type")
        }
        for name, value in constants.items():
            code = helper.np_dtype_to_tensor_dtype(value.dtype)
            known[name] = helper.make_tensor_value_info(name, code, value.shape)
        del made.graph.output[:]
        made.graph.output.extend(known[name] for name in outputs)
    return made


def feed(made: onnx.ModelProto) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    types = {"x": np.float32, "w": np.int8, "u": np.uint8}
    return {v.name: rng.integers(-3, 99, SHAPES[v.name]).astype(types[v.name]) for v in made.graph.input}


def expected(made: onnx.ModelProto) -> list[np.ndarray]:
    found = onnxruntime_results(made, feed(made))
    assert found is not None
    return found


def check(got: list[np.ndarray], want: list[np.ndarray]) -> None:
    assert len(got) == len(want)
    for y, right in zip(got, want, strict=True):
        assert (y.shape, y.dtype) == (right.shape, right.dtype)
        np.testing.assert_allclose(y, right, rtol=1e-6)


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize("outputs", [*ROLES, *QUANTISED])
def test_every_combination(outputs: str, declared: bool, tmp_path: Path) -> None:
    for opset in (10, 13, 21) if outputs in QUANTISED else (7, 9, 12, 13, 21):
        made = model(outputs, opset, declared=declared)
        path = tmp_path / "m.onnx"
        path.write_bytes(made.SerializeToString())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = import_onnx(path, "m", floats="all")
        verify(graph)
        want = expected(made)
        for form in (graph, optimize(graph)):
            values = interpreter.run(form, list(feed(made).values()))
            check([values[name] for name in form.outputs], want)


@pytest.mark.parametrize("layout", ["model", "nhwc"])
def test_layout(layout: str, tmp_path: Path) -> None:
    """An output that is an input has the input's layout."""
    made = model("xy", 13, declared=True)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    graph = import_onnx(path, "m", layout=layout, floats="all")
    assert graph.types[graph.outputs[0]].shape == graph.types[graph.inputs[0]].shape
    assert graph.types[graph.outputs[1]].shape == graph.types[graph.inputs[0]].shape


@pytest.mark.parametrize("outputs", ["cxxyyrkwnu", "vqdv"])
def test_as_c(outputs: str, tmp_path: Path) -> None:
    made = model(outputs, 13, declared=True)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    build = tinycompile.compile(path, target="host", output=tmp_path / "out", dtype="float32")
    got = build.run(*[array[None] for array in feed(made).values()])
    for y, want in zip(got, expected(made), strict=True):
        assert y.dtype == want.dtype
        np.testing.assert_allclose(y.reshape(want.shape), want, rtol=1e-6)


@pytest.mark.parametrize("outputs", ["x", "xx"])
def test_nothing_else(outputs: str, tmp_path: Path) -> None:
    """A model without nodes."""
    values = [helper.make_tensor_value_info("x", onnx.TensorProto.INT8, (1, 4))]
    graph = helper.make_graph([], "g", values, values * len(outputs))
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]).SerializeToString())
    imported = optimize(import_onnx(path, "m"))
    x = np.array([[1, -2, 3, 4]], np.int8)
    result = interpreter.run(imported, [x])
    check([result[name] for name in imported.outputs], [x] * len(outputs))
