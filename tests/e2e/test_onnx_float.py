"""float32: whole models on an FPU, and operators of int8 models that have no 8-bit form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import tinycompile
from tests.e2e.test_onnx import invoke, small_cnn
from tests.support.full import also
from tests.support.onnx_builder import OnnxBuilder
from tests.support.plausible import model_inputs
from tinycompile.errors import UnsupportedError
from tinycompile.frontend.onnx import FloatIslandWarning
from tinycompile.quantize.measure import float_outputs
from tinycompile.verify.compare import verify_build

pytest.importorskip("onnxruntime", reason="the reference for float models")


@pytest.mark.parametrize("model", ["ic_resnet8", "ad_autoencoder", *also("kws_dscnn", "vww_mobilenet")])
def test_float_models_follow_onnxruntime(model: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    source = shared(f"models/{model}.onnx")
    build = tinycompile.compile(source, target="host", output=tmp_path / "o", dtype="float32")
    x = model_inputs(model, shared("golden"), 2, 5)[:3]
    expected = float_outputs(onnx.load(source), [{"input_1": v[None]} for v in x])[0]
    got = np.asarray(build.run(x)).reshape(expected.shape)
    assert np.abs(got - expected).max() <= 1e-4 * np.abs(expected).max()


def test_float_firmware(tmp_path: Path) -> None:
    path = tmp_path / "cnn.onnx"
    onnx.save(small_cnn(), str(path))
    build = tinycompile.compile(path, output=tmp_path / "o", dtype="float32")
    x = np.random.default_rng(2).normal(0, 1, (2, 3, 12, 12)).astype(np.float32)
    expected = float_outputs(onnx.load(path), [{"x": v[None]} for v in x])[0]
    assert np.allclose(np.asarray(build.run(x, on="qemu")).reshape(expected.shape), expected, rtol=1e-4, atol=1e-5)
    assert verify_build(build, [x.reshape(2, *build.inputs[0].shape)]).difference is None


def test_floats_by_rows(tmp_path: Path) -> None:
    """A stage's rows are floats: the wide tensor between the layers is never whole."""
    b, rng = OnnxBuilder(), np.random.default_rng(5)
    x = b.input((1, 3, 24, 24))
    y = b.node("Relu", b.node("Conv", x, b.constant(rng.normal(0, 0.3, (32, 3, 1, 1)), np.float32)))
    y = b.node("Conv", y, b.constant(rng.normal(0, 0.3, (4, 32, 1, 1)), np.float32))
    b.output(b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), "float32")
    path = tmp_path / "rows.onnx"
    onnx.save(b.model(), str(path))
    build = tinycompile.compile(path, output=tmp_path / "o", dtype="float32", optimize="ram")
    assert [stage["mode"] for stage in build.report["stages"]] == ["stream"]
    assert verify_build(build, [rng.normal(0, 1, (2, *build.inputs[0].shape)).astype(np.float32)]).difference is None


def with_an_island() -> onnx.ModelProto:
    """A Softmax and a Div that were never quantised, between two quantised layers."""
    b, rng = OnnxBuilder(), np.random.default_rng(3)
    x = b.activation(b.input((1, 16)), 0.05, 3)
    w = b.weights(rng.integers(-127, 128, (16, 8)).astype(np.int8), 0.02, 0)
    y = b.node("Softmax", b.node("MatMul", x, w))
    y = b.node("Div", y, b.constant(rng.uniform(1, 2, (1, 8)), np.float32))
    y = b.activation(y, 1 / 256, -128)
    w = b.weights(rng.integers(-127, 128, (8, 4)).astype(np.int8), 0.02, 0)
    b.output(b.activation(b.node("MatMul", y, w), 0.02, 0))
    return b.model()


def test_islands(tmp_path: Path) -> None:
    path = tmp_path / "island.onnx"
    onnx.save(with_an_island(), str(path))
    with pytest.warns(FloatIslandWarning, match="Softmax") as caught:
        build = tinycompile.compile(path, output=tmp_path / "o")
    assert len(caught) >= 3
    estimates = [layer["instructions_estimate"] for layer in build.report["layers"]]
    edges_and_integers = (
        0,
        len(estimates) - 1,
        len(estimates) - 2,
    )  # quantised at the beginning, then a layer at the end
    of_floats = sum(estimates) - sum(estimates[index] for index in edges_and_integers)
    expected_cost = f"island.onnx: float32 costs about {of_floats:,} of {sum(estimates):,} instructions"
    assert sum(str(w.message).startswith(expected_cost) for w in caught) == 1
    x = np.random.default_rng(4).normal(0, 2, (3, 16)).astype(np.float32)
    expected = float_outputs(onnx.load(path), [{"x": v[None]} for v in x])[0]
    got = np.asarray(build.run(x, on="qemu")).reshape(expected.shape)
    assert np.abs(got - expected).max() <= 0.0201
    kernels = {layer["kernel"] for layer in build.report["layers"] if layer["op"] == "fully_connected"}
    assert any("float" in kernel for kernel in kernels) and len(kernels) > 1
    with pytest.raises(UnsupportedError, match="Softmax"):
        tinycompile.compile(path, output=tmp_path / "strict", strict_int8=True)
    code, text = invoke("build", path, "-o", tmp_path / "cli")
    assert code == 0 and "warning: " in text and "runs in float32" in text


def test_dtype_goes_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "cnn.onnx"
    onnx.save(small_cnn(), str(path))
    common = ("build", path, "--dtype", "float32", "-o", tmp_path / "o")
    assert invoke(*common, "--strict-int8")[0] == 2
    assert invoke(*common, "--calib", tmp_path / "calib.npz")[0] == 2
    assert invoke("build", path, "--dtype", "float16")[0] == 2
