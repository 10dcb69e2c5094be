"""TFLite files of quantised networks: LiteRT runs them, tinycompile computes the same, near the float network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.quantize.test_operators import Net
from tests.quantize.test_quantize import graph_of, samples
from tests.support.graph_build import host_model, write_graph
from tests.support.litert import Oracle
from tests.support.quantized_candidate import observed_in, parameters_of
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.errors import UnsupportedError
from tinycompile.frontend import load
from tinycompile.frontend.tflite import import_tflite
from tinycompile.options import Options
from tinycompile.quantize.as_tflite import as_tflite, constrained, outputs_of_tflite, spelled
from tinycompile.quantize.measure import float_outputs, sqnr
from tinycompile.quantize.patterns import simplified
from tinycompile.quantize.qdq import to_qdq

pytest.importorskip("onnxruntime", reason="calibration needs onnxruntime")

Body = Callable[[Net, str], str]

CHAINS: dict[str, Body] = {
    "pads of any side": lambda b, x: b.node("Conv", x, b.weights(4, 4, 3, 3), b.weights(4), pads=[2, 0, 1, 1]),
    "groups, strides": lambda b, x: b.node("Conv", x, b.weights(6, 2, 3, 3), group=2, strides=[2, 1], pads=[1] * 4),
    "depthwise": lambda b, x: b.node("Conv", x, b.weights(8, 1, 3, 3), b.weights(8), group=4, dilations=[2, 1]),
    "one axis": lambda b, x: b.node(
        "Conv", b.node("Reshape", x, b.constant([1, 4, 36], np.int64)), b.weights(5, 4, 3), dilations=[2]
    ),
    "transposed": lambda b, x: b.node("ConvTranspose", x, b.weights(4, 3, 3, 3), strides=[2, 2], pads=[1, 0, 0, 1]),
    "rows": lambda b, x: b.node("MatMul", b.node("Transpose", x, perm=[0, 2, 3, 1]), b.weights(4, 7)),
    "clamps": lambda b, x: b.node("Clip", b.layer(b.node("Relu", b.layer(x))), b.number(0), b.number(6)),
    "gate": lambda b, x: b.node("Mul", b.node("Tanh", b.layer(x)), b.node("Sigmoid", b.layer(x))),
    "silu": lambda b, x: b.node("Mul", x, b.node("Sigmoid", x)),
    "hard gate": lambda b, x: b.node("Mul", x, b.node("HardSigmoid", b.node("Add", x, b.layer(x)), alpha=0.2)),
    "functions": lambda b, x: b.node("HardSwish", b.layer(b.node("LeakyRelu", b.layer(b.node("Abs", x)), alpha=0.3))),
    "slopes": lambda b, x: b.node("PRelu", b.layer(x), b.constant(np.full((4, 1, 1), 0.25), np.float32)),
    "numbers at the ends": lambda b, x: b.node(
        "Min", b.node("Max", b.layer(b.node("Max", x, b.number(0.3))), b.number(-0.25)), b.number(0.5)
    ),
    "numbers of channels": lambda b, x: b.node("Max", x, b.constant([[[0.1]], [[0]], [[-0.5]], [[0.2]]], np.float32)),
    "arithmetic": lambda b, x: b.node("Sub", b.node("Max", x, b.layer(x)), b.node("Min", b.layer(x), x)),
    "constants": lambda b, x: b.node("Add", b.node("Mul", x, b.weights(1, 4, 1, 1)), b.weights(4, 6, 6)),
    "numbers": lambda b, x: b.node("Mul", b.layer(b.node("Add", b.layer(x), b.number(1.5))), b.number(-0.3)),
    "pools": lambda b, x: b.node(
        "AveragePool",
        b.node("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2]),
        kernel_shape=[2, 2],
    ),
    "means": lambda b, x: b.node("ReduceMean", x, axes=[2], keepdims=0),
    "joined": lambda b, x: b.node("Concat", b.layer(x), x, b.node("Relu", b.layer(x)), axis=1),
    "resized": lambda b, x: b.node(
        "Resize", x, "", b.constant([1, 1, 2, 3], np.float32), mode="nearest", nearest_mode="floor"
    ),
    "moved": lambda b, x: b.node(
        "Transpose",
        b.node("Slice", b.node("Pad", x, b.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)), *_bounds(b)),
        perm=[0, 2, 1, 3],
    ),
    "chosen": lambda b, x: b.node("Gather", x, b.constant([2, 0, 0, 3], np.int64), axis=1),
    "probabilities": lambda b, x: b.node("Softmax", b.node("Reshape", x, b.constant([1, 144], np.int64)), axis=1),
}


def _bounds(b: Net) -> list[str]:
    """Starts, ends, axes and steps."""
    return [b.constant(values, np.int64) for values in ([0, 1], [7, 8], [2, 3], [2, 1])]


def model_of(body: Body) -> onnx.ModelProto:
    b = Net()
    b.opset = 14
    b.output(body(b, b.layer(b.input((1, 4, 6, 6)))))
    return b.model()


def file_of(model: onnx.ModelProto, data: list[dict[str, np.ndarray]]) -> bytes:
    graph = spelled(simplified(graph_of(model)))
    parameters = constrained(graph, parameters_of(observed_in(graph, data)))
    return as_tflite(to_qdq(graph, parameters).proto, graph, "test.onnx", "by a test")


@pytest.mark.parametrize("body", CHAINS.values(), ids=CHAINS)
def test_operators(body: Body) -> None:
    model, data = model_of(body), samples(4, 4, 6, 6)
    content = file_of(model, data)
    oracle, graph = Oracle(content), import_tflite(content, "model", "model")
    (given,), (made,) = oracle.interpreter.get_input_details(), oracle.interpreter.get_output_details()
    assert (given["name"], given["dtype"], made["name"]) == ("x", np.int8, model.graph.output[0].name)
    assert all(graph.types[name].dtype.is_integer for node in graph.nodes for name in node.outputs)
    numbers = np.random.default_rng(1).integers(-128, 128, (3, *given["shape"]), np.int8)
    for each in numbers:
        found = interpreter.run(graph, [each])[graph.outputs[0]]
        np.testing.assert_array_equal(found, oracle.run([each])[made["index"]])
    (name,) = (value.name for value in model.graph.output)
    ours = outputs_of_tflite(content, [name], data)[name]
    assert sqnr(float_outputs(model, data)[0], ours) > 22


def test_elu() -> None:
    """LiteRT has it, but not among its reference kernels, whose convolutions are ours."""
    model, data = model_of(lambda b, x: b.node("Elu", x)), samples(4, 4, 6, 6)
    content = file_of(model, data)
    assert "elu" in {node.op.kind for node in import_tflite(content, "model", "model").nodes}
    (found,) = outputs_of_tflite(content, ["y"], data).values()
    assert sqnr(float_outputs(model, data)[0], found) > 30


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            lambda b, x: b.node("Pow", b.node("Abs", x), b.constant([[[1]], [[2]], [[3]], [[0.5]]], np.float32)),
            "it is a function that differs from channel to channel, and none of TFLite's",
        ),
        (lambda b, x: b.node("Sin", x), "lookup 'sin_.*: the function Sin isn't one of TFLite's for int8"),
        (lambda b, x: b.node("Div", x, b.layer(x)), "div 'div_.*: tinycompile writes no TFLite operator for it"),
        (
            lambda b, x: b.node("AveragePool", x, kernel_shape=[3, 3], pads=[1, 0, 0, 1]),
            r"padding \(1, 0, 0, 1\), TFLite has none of its own or that of SAME",
        ),
    ],
)
def test_what_tflite_lacks_is_named(body: Body, message: str) -> None:
    with pytest.raises(UnsupportedError, match=message) as caught:
        file_of(model_of(body), samples(2, 4, 6, 6))
    assert "-o model.onnx" in str(caught.value)


def test_from_the_command_line_to_c(tmp_path: Path) -> None:
    """The file is written again without asking, and the firmware's C computes what LiteRT does."""
    b = Net()
    x = b.node("Relu", b.normalised(b.layer(b.input((1, 4, 6, 6)))))
    b.output(b.node("Gemm", b.node("Flatten", b.node("GlobalAveragePool", b.layer(x))), b.weights(4, 3), b.weights(3)))
    onnx.save(b.model(), tmp_path / "m.onnx")
    data = np.concatenate([sample["x"] for sample in samples(16, 4, 6, 6)])
    np.savez(tmp_path / "c.npz", x=data)
    target = tmp_path / "int8.tflite"
    for _ in range(2):
        command = ["quantize", str(tmp_path / "m.onnx"), "--calib", str(tmp_path / "c.npz"), "-o", str(target)]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert "which calibration doesn't see" in result.output
    oracle, graph = Oracle(target.read_bytes()), load(target, floats="none")
    built = host_model(write_graph(graph, tmp_path / "o", Options()), tmp_path / "o")
    (made,) = oracle.interpreter.get_output_details()
    numbers = np.random.default_rng(1).integers(-128, 128, (5, 1, 4, 6, 6), np.int8)
    expected = [oracle.run([each])[made["index"]] for each in numbers]
    np.testing.assert_array_equal(np.concatenate([built.run([each])[0] for each in numbers]), np.concatenate(expected))
    target.write_bytes(b"\0" * 64)
    assert "didn't write" in CliRunner().invoke(main, command).output
