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


def test_an_output_that_is_moved_after_its_dequantize():
    """Channels to the front, as ONNX has images: the integers are moved; one that is read elsewhere stays a float."""
    b = TfliteBuilder()
    q = b.tensor((1, 2, 3, 4), 0.5, 3, name="q")
    f = b.tensor((1, 2, 3, 4), dtype="float32", name="f")
    moved, flat = (b.tensor(shape, dtype="float32") for shape in ((1, 4, 2, 3), (1, 24)))
    read = b.tensor((1, 24), 0.5, 3)
    b.op("DEQUANTIZE", [q], [f])
    b.op("TRANSPOSE", [f, b.constant(np.array([0, 3, 1, 2], np.int32))], [moved])
    b.op("RESHAPE", [moved, b.constant(np.array([1, 24], np.int32))], [flat])
    b.op("QUANTIZE", [flat], [read])
    graph = import_tflite(b.build([q], [moved, flat, read]), "m", "m.tflite")
    narrow = int8_io(graph)
    verify(narrow, "int8_io")
    assert [str(narrow.types[name].dtype) for name in narrow.outputs] == ["float32", "float32", "int8"]
    b.ops.pop()
    graph = import_tflite(b.build([q], [flat]), "m", "m.tflite")
    narrow = int8_io(graph)
    verify(narrow, "int8_io")
    (output,) = narrow.outputs
    assert narrow.types[output].dtype.name == "int8" and len(narrow.nodes) == 2
    x = np.arange(24, dtype=np.int8).reshape(1, 2, 3, 4)
    assert interpreter.run(narrow, [x])[output].tolist() == [x.transpose(0, 3, 1, 2).reshape(-1).tolist()]
