"""Forms that other tools take for what they look like (findings/, docs/onnx.md): here they are what the file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.frontend.attributes import onnxruntime_results
from tests.support.onnx_builder import OnnxBuilder
from tinycompile import interpreter
from tinycompile.frontend.onnx import import_onnx
from tinycompile.passes import optimize

Form = Callable[[OnnxBuilder], tuple[str, np.ndarray, np.ndarray]]
"""Adds nodes; their result, an input, and what the mistaken form would make of it."""
ROW = np.array([[1, 2, 3, 6]], np.float32)


def _floats(b: OnnxBuilder, *values: float) -> list[str]:
    return [b.constant(value, np.float32) for value in values]


def padded_pool(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    padded = b.node("Pad", b.input((1, 1, 4)), b.constant([0, 0, 1, 0, 0, 1], np.int64))
    x = -np.arange(1, 5, dtype=np.float32).reshape(1, 1, 4)
    return b.node("MaxPool", padded, kernel_shape=[3]), x, np.array([[[-1, -1, -2, -3]]])


def _normalised(b: OnnxBuilder, exponent: float, *, reversed_: bool) -> tuple[str, np.ndarray, np.ndarray]:
    x, axis = b.input((1, 4)), b.constant([-1], np.int64)
    mean = b.node("ReduceMean", x, axis)
    d = b.node("Sub", *((mean, x) if reversed_ else (x, mean)))
    power, epsilon = _floats(b, exponent, 0.1)
    moment = b.node("ReduceMean", b.node("Pow", d, power), axis)
    n = b.node("Div", d, b.node("Sqrt", b.node("Add", moment, epsilon)))
    scaled = b.node("Mul", n, b.constant(np.ones(4), np.float32))
    return b.node("Add", scaled, b.constant(np.zeros(4), np.float32)), ROW, (ROW - 3) / np.sqrt(3.6)


def fourth_moment(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    return _normalised(b, 4, reversed_=False)


def mean_minus_x(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    return _normalised(b, 2, reversed_=True)


def inverse_of_integers(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    x, one, u = b.input((4,)), b.constant(1, np.int64), b.constant([10, 9, 8, 7], np.int64)
    product = b.node("Mul", b.node("Div", one, b.node("Cast", x, to=onnx.TensorProto.INT64)), u)
    return b.node("Cast", product, to=1), np.array([1, 2, 3, -1], np.float32), np.array([10, 4, 2, -7])


def two_quantizations(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    y = b.activation(b.activation(b.input((4,)), 0.1, 0), 0.25, 0)
    return y, np.array([0.36, 0.11, 0.64, 1], np.float32), np.array([0.4, 0.1, 0.6, 1])


def scaled_columns(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    image = b.node("Conv", b.input((1, 1, 4, 4)), b.constant(np.ones((4, 1, 1, 1)), np.float32))
    wrong = np.broadcast_to(np.arange(1, 5)[None, :, None, None], (1, 4, 4, 4))
    return b.node("Mul", image, b.constant([1, 2, 3, 4], np.float32)), np.ones((1, 1, 4, 4), np.float32), wrong


def relu_of_clip(b: OnnxBuilder) -> tuple[str, np.ndarray, np.ndarray]:
    clipped = b.node("Clip", b.input((1, 4)), *_floats(b, -2, -1))
    return b.node("Relu", clipped), ROW, np.full((1, 4), -1)


FORMS: list[Form] = [
    padded_pool,
    fourth_moment,
    mean_minus_x,
    inverse_of_integers,
    two_quantizations,
    scaled_columns,
    relu_of_clip,
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_it_is_what_the_file_says(form: Form, tmp_path: Path) -> None:
    b = OnnxBuilder(18)
    result, x, mistaken = form(b)
    b.output(result)
    model, path = b.model(), tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    wanted = onnxruntime_results(model, {"x": x})
    assert wanted is not None
    graph = optimize(import_onnx(path, "test", floats="all"))
    got = interpreter.run(graph, [x.reshape(graph.types[graph.inputs[0]].shape)])[graph.outputs[0]]
    np.testing.assert_allclose(got.reshape(wanted[0].shape), wanted[0], rtol=1e-5, atol=1e-6)
    assert np.abs(wanted[0] - mistaken).max() > 0.05
