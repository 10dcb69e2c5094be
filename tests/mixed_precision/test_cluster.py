"""`quantize --cluster` as a user calls it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

from tests.mixed_precision import nets
from tinycompile.cli import main
from tinycompile.frontend import load
from tinycompile.mixed_precision.network import Network


def _run(*arguments: object) -> str:
    return CliRunner().invoke(main, ["quantize", *map(str, arguments)]).output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path, random = tmp_path_factory.mktemp("cluster"), np.random.default_rng(6)
    (path / "small.tflite").write_bytes(nets.content())
    np.savez(path / "calib.npz", x=nets.samples(24))
    weights = numpy_helper.from_array(random.normal(0, 0.3, (16, 9)).astype(np.float32), "w")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", (1, 9)), ("y", (1, 16))))
    net = helper.make_graph([helper.make_node("MatMul", ["x", "v"], ["y"])], "net", [x], [y], [weights])
    net.node.insert(0, helper.make_node("Transpose", ["w"], ["v"], perm=[1, 0]))
    proto = helper.make_model(net, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (path / "float.onnx").write_bytes(proto.SerializeToString())
    np.savez(path / "floats.npz", x=random.normal(0, 1, (24, 9)).astype(np.float32))
    return path


@pytest.mark.parametrize(
    ("model", "calib", "output"),
    [("small.tflite", "calib.npz", "out.tflite"), ("float.onnx", "floats.npz", "out.onnx")],
)
def test_layers_have_few_values_and_other_things_stay(folder: Path, model: str, calib: str, output: str) -> None:
    options = ("--calib", folder / calib, "--calib-method", "minmax", "--cluster", 6, "--force")
    text = _run(folder / model, *options, "-o", folder / output)
    assert "with 6 different weights at most: SQNR" in text, text
    graph = load(folder / output)
    layers = Network(graph).layers.values()
    counts = {layer.is_depthwise: np.unique(graph.constants[layer.node.inputs[1]]).size for layer in layers}
    assert counts[False] <= 6 < counts.get(True, 7)
    if model.endswith(".tflite"):
        before = load(folder / model)
        assert [node.op.kind for node in before.nodes] == [node.op.kind for node in graph.nodes]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("small.tflite", "--cluster", "17", "--calib", "calib.npz"), "--cluster 17 is out of range"),
        (("small.tflite", "--cluster", "4"), "--cluster needs --calib"),
        (("small.tflite", "--cluster", "4", "--weight-bits", "4"), "--cluster is of 8 bits and all channels"),
        (("float.onnx", "--cluster", "4", "--group", "32"), "--group needs --weight-bits"),
        (("small.tflite", "--cluster", "4", "--calib", "calib.npz", "-o", "o.onnx"), "-o out.tflite"),
    ],
)
def test_what_does_not_go(
    folder: Path, arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    output = () if "-o" in arguments else ("-o", "o.tflite")
    assert message in " ".join(_run(*arguments, *output).split())
