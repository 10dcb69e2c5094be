"""Tensors with 0 to 6 axes, in every schedule: some of the networks that `python -m tests.reliability.ranks` makes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.tflite_builder import RELU6, SAME, TfliteBuilder
from tinycompile.dtypes import INT8
from tinycompile.ir import Graph, Node, Quantization, TensorType
from tinycompile.ops.add import Add
from tinycompile.ops.relu import Relu
from tinycompile.planner.candidates import Way
from tinycompile.planner.members import Geometry
from tinycompile.planner.stage import NotStreamable

pytest.importorskip("ai_edge_litert", reason="needs LiteRT")
pytest.importorskip("onnxruntime", reason="needs onnxruntime")

from tests.reliability.ranks import CHECKS, check_schedules
from tests.support.litert import Oracle


@pytest.mark.parametrize(
    ("kind", "seed"),
    [("tflite", s) for s in range(6)] + [("onnx", s) for s in range(3)] + [("float", 4), ("float", 122)],
)
def test_random_network(kind: str, seed: int) -> None:
    CHECKS[kind](seed)


def test_several_images_are_not_executed_by_rows() -> None:
    """Rows are those of one image; a batch used to lose all but the first."""
    t = TensorType((2, 8, 8, 6), INT8, Quantization.per_tensor(0.05, 3))
    nodes = (
        Node("a", Relu((-128, 127)), ("x",), ("a",)),
        Node("b", Add(), ("a", "a"), ("b",)),
        Node("c", Relu((-3, 127)), ("b",), ("c",)),
    )
    graph = Graph("g", ("x",), ("c",), nodes, dict.fromkeys("xabc", t), {})
    with pytest.raises(NotStreamable):
        Way(1).stage(Geometry(graph), 0, 3)
    check_schedules(graph, {"x": np.random.default_rng(0).integers(-128, 128, t.shape).astype(np.int8)})


@pytest.mark.parametrize("schedule", ["layer", "stream", "patch", "auto"])
def test_a_mean_to_a_scalar_behind_convolutions(schedule: str, tmp_path: Path) -> None:
    """What a stage ends with need not be an image: means over rows and channels, then over everything."""
    b = TfliteBuilder()
    x, y = b.tensor((1, 8, 6, 3), 0.05, 3), b.tensor((1, 8, 6, 4), 0.1, -128)
    weights = b.constant(np.random.default_rng(0).integers(-90, 90, (4, 3, 3, 3)).astype(np.int8), [0.01], 0)
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": SAME}
    bias = b.constant(np.array([900, 0, -400, 70], np.int32), [0.0005], 0)
    b.op("CONV_2D", [x, weights, bias], [y], FusedActivationFunction=RELU6, **fields)
    columns, scalar = b.tensor((6,), 0.05, -128), b.tensor((), 0.02, -90)
    b.op("MEAN", [y, b.constant(np.array([0, 1, 3], np.int32))], [columns], KeepDims=False)
    b.op("MEAN", [columns, b.constant(np.array([-1], np.int32))], [scalar], KeepDims=False)
    model = tmp_path / "scalar.tflite"
    model.write_bytes(b.build([x], [scalar]))
    build = tinycompile.compile(model, "host", output=tmp_path / "out", schedule=schedule)
    assert json.loads((tmp_path / "out" / "report.json").read_text())["outputs"][0]["shape"] == []
    samples = np.random.default_rng(0).integers(-128, 128, (3, 1, 8, 6, 3)).astype(np.int8)
    oracle = Oracle(model.read_bytes())
    expected = [oracle.run([sample])[scalar] for sample in samples]
    np.testing.assert_array_equal(np.ravel(build.run(samples)), np.ravel(expected))
