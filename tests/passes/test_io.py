"""`--io int8`."""

from __future__ import annotations

import numpy as np

from tests.support.tflite_builder import TfliteBuilder
from tinycompile import interpreter
from tinycompile.frontend.tflite import import_tflite
from tinycompile.ir import Graph, verify
from tinycompile.passes.io import int8_io


def model(
    *, dtype: str = "int8", second_reader: bool = False, int8_output: bool = False, dequantised_twice: bool = False
) -> Graph:
    """float x -> quantize -> relu -> dequantize -> float y."""
    b = TfliteBuilder()
    x = b.tensor((1, 4), dtype="float32", name="x")
    q = b.tensor((1, 4), 0.5, 3, dtype=dtype, name="q")
    i = b.tensor((1, 4), 0.5, 3, name="i")
    r = b.tensor((1, 4), 0.25, -1, name="r")
    y = b.tensor((1, 4), dtype="float32", name="y")
    b.op("QUANTIZE", [x], [q])
    b.op("QUANTIZE", [q], [i])
    b.op("RELU", [i], [r])
    b.op("DEQUANTIZE", [r], [y])
    outputs = [y]
    if second_reader:
        other = b.tensor((1, 4), 0.1, 0, name="other")
        b.op("QUANTIZE", [x], [other])
        outputs.append(other)
    if dequantised_twice:
        outputs.append(b.tensor((1, 4), dtype="float32", name="y2"))
        b.op("DEQUANTIZE", [r], [outputs[-1]])
    if int8_output:
        outputs.append(r)
    return import_tflite(b.build([x], outputs), "m", "m.tflite")


def test_a_float_signature_becomes_int8():
    graph = model()
    narrow = int8_io(graph)
    verify(narrow, "int8_io")
    assert (narrow.inputs, narrow.outputs) == (("q",), ("r",))
    assert "x" not in narrow.types and "y" not in narrow.types
    values = interpreter.run(graph, [np.array([[-2.0, 0.1, 3.3, 70.0]], np.float32)])
    assert np.array_equal(interpreter.run(narrow, {"q": values["q"]})["r"], values["r"])
    assert int8_io(narrow).inputs == ("q",)


def test_an_input_with_two_readers_stays():
    graph = int8_io(model(second_reader=True))
    verify(graph, "int8_io")
    assert (graph.inputs, graph.outputs) == (("x",), ("r", "other"))


def test_another_8_bit_type_stays():
    assert int8_io(model(dtype="uint8")).inputs == ("x",)


def test_an_output_that_is_there_already_is_not_doubled():
    graph = int8_io(model(int8_output=True))
    verify(graph, "int8_io")
    assert graph.outputs == ("y", "r")


def test_an_int8_value_replaces_one_output_only():
    graph = int8_io(model(dequantised_twice=True))
    verify(graph, "int8_io")
    assert graph.outputs == ("r", "y2")


def test_a_value_does_not_become_input_and_output():
    b = TfliteBuilder()
    x, y = b.tensor((1, 4), dtype="float32", name="x"), b.tensor((1, 4), dtype="float32", name="y")
    q = b.tensor((1, 4), 0.5, 3, name="q")
    b.op("QUANTIZE", [x], [q])
    b.op("DEQUANTIZE", [q], [y])
    graph = int8_io(import_tflite(b.build([x], [y]), "m", "m.tflite"))
    verify(graph, "int8_io")
    assert (graph.inputs, graph.outputs) == (("q",), ("y",))


def test_a_model_that_only_quantises_keeps_its_node():
    b = TfliteBuilder()
    x, q = b.tensor((1, 4), dtype="float32"), b.tensor((1, 4), 0.5, 3)
    b.op("QUANTIZE", [x], [q])
    graph = int8_io(import_tflite(b.build([x], [q]), "m", "m.tflite"))
    assert len(graph.nodes) == 1
