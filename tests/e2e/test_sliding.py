"""`--slide` from a file to C: steps against LiteRT on whole windows, layer by layer; a wake word with variables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import tinycompile
from tests.support.litert import Oracle
from tests.support.onnx_builder import OnnxBuilder
from tests.support.sliding_files import CLASSES, COLUMNS, ROWS, keyword_model
from tests.support.wake_word import FEATURES, FRAMES, wake_word_model
from tinycompile import interpreter
from tinycompile.errors import UsageError
from tinycompile.frontend import load
from tinycompile.options import Options
from tinycompile.passes import optimize
from tinycompile.plans import Plans
from tinycompile.report.document import load_document
from tinycompile.verify.compare import verify_build


def output_of(oracle: Oracle) -> int:
    """The number of the only one."""
    runtime: Any = oracle.interpreter
    return runtime.get_output_details()[0]["index"]


def test_every_step_is_a_whole_window_of_litert(tmp_path: Path) -> None:
    """Also the rows of layers that a step computes, and after a reset."""
    path = tmp_path / "keywords.tflite"
    path.write_bytes(keyword_model(causal=False, channels=8, blocks=2))
    build = tinycompile.compile(path, "host", output=tmp_path / "out", slide="time=2")
    assert [t.shape for t in build.inputs] == [(1, 2, COLUMNS, 1)]
    steps = np.random.default_rng(0).integers(-128, 128, (30, 1, 2, COLUMNS, 1)).astype(np.int8)
    found = verify_build(build, [steps])
    assert found.differences == 0
    layers = {layer.name for layer in found.layers}
    assert len(layers) >= 6 and found.samples == 30
    whole = np.lib.stride_tricks.sliding_window_view(steps.reshape(60, COLUMNS), ROWS, 0)[1::2]
    oracle = Oracle(path.read_bytes())
    output = output_of(oracle)
    results = build.run(steps)
    for result, window in zip(results[24:], whole.transpose(0, 2, 1), strict=True):
        tensors = oracle.run([window.reshape(1, ROWS, COLUMNS, 1)])
        np.testing.assert_array_equal(np.reshape(result, (1, CLASSES)), tensors[output])
    report = load_document(tmp_path / "out")
    assert report["slide"]["rows"] == ROWS and report["slide"]["step"] == 2
    assert report["ram"]["state_bytes"] > 0 and report["options"]["slide"] == "time=2"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "rows are new in each step" in page and f"{report['slide']['instructions_estimate']:,}" in page


def test_a_temporal_network_of_an_onnx_file(tmp_path: Path) -> None:
    """Conv1d has time last, in front of QuantizeLinear; a step computes two rows of each layer, which are compared."""
    pytest.importorskip("onnxruntime", reason="the reference for ONNX models")
    b, rng = OnnxBuilder(), np.random.default_rng(0)
    x = b.activation(b.input((1, 5, 24), name="mel"), 0.05, 3)
    for channels in (5, 8):
        weights = b.weights(rng.integers(-127, 128, (8, channels, 3)).astype(np.int8), 0.01, 0)
        x = b.activation(b.node("Relu", b.node("Conv", x, weights)), 0.05, -128)
    b.output(b.activation(b.node("ReduceMean", x, axes=[2], keepdims=0), 0.05, -128))
    onnx.save(b.model(), str(tmp_path / "tcn.onnx"))
    build = tinycompile.compile(tmp_path / "tcn.onnx", "host", output=tmp_path / "out", slide="mel:2=2")
    convolutions = [layer for layer in build.report["layers"] if layer["op"] == "conv2d"]
    assert [layer["outputs"][0]["shape"][1] for layer in convolutions] == [2, 2]
    found = verify_build(build, [rng.normal(0, 3, (16, 1, 5, 2)).astype(np.float32)])
    assert found.differences == 0 and found.tensors >= 16 * 4


def test_rows_that_onnx_has_as_a_whole(tmp_path: Path) -> None:
    """New rows of a layer, and all of them put together: the whole tensor is compared, in the firmware's own place."""
    b = OnnxBuilder()
    values = b.node("MatMul", b.input((1, 6, 4)), b.constant(np.eye(4) + 0.1, np.float32))
    scores = b.node("MatMul", values, b.node("Transpose", values, perm=[0, 2, 1]))
    b.output(b.node("MatMul", b.node("Softmax", scores), values))
    (tmp_path / "attention.onnx").write_bytes(b.model().SerializeToString())
    build = tinycompile.compile(
        tmp_path / "attention.onnx", "host", output=tmp_path / "o", slide="time=1", dtype="float32"
    )
    found = verify_build(build, [np.random.default_rng(0).normal(size=(8, 1, 1, 4)).astype(np.float32)])
    assert found.difference is None and {layer.name for layer in found.layers} >= {"matmul_2_window", "softmax_5"}


def test_new_rows_are_an_input_as_a_whole() -> None:
    with pytest.raises(UsageError, match="--slide doesn't go with --input-stream rows"):
        Options(slide="time=2", input_stream="rows").check()


def test_a_wake_word_with_variables(tmp_path: Path) -> None:
    """A step of three frames, as LiteRT has it; what it takes on a Cortex-M7."""
    path = tmp_path / "wake_word.tflite"
    path.write_bytes(wake_word_model())
    graph, oracle = optimize(load(path)), Oracle(path.read_bytes())
    assert len(graph.states) == 6
    frames = np.random.default_rng(1).integers(-128, 128, (30, 1, FRAMES, FEATURES)).astype(np.int8)
    output = output_of(oracle)
    steps = interpreter.steps(graph, ([step] for step in frames))
    for step, values in zip(frames, steps, strict=True):
        np.testing.assert_array_equal(values[graph.outputs[0]], oracle.run([step])[output])
    options = Options()
    plan = Plans(graph, options.board(), options).layers(1 << 16, None)
    assert plan.instructions <= 50_000
    assert plan.arena_bytes + plan.state_bytes <= 7_000
