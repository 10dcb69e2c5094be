"""ONNX's audio operators against onnxruntime: windows and mel filters are constants, transforms fast ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.cores import core_named
from tinycompile import interpreter
from tinycompile.errors import UnsupportedError
from tinycompile.frontend import load
from tinycompile.kernels import kernels_of
from tinycompile.passes import optimize

SAMPLES = 320
M4 = core_named("cortex-m4", dsp=True, fpu=True)


def model(nodes: Sequence[Any], constants: dict[str, Any], shape: Sequence[int], path: Path) -> Path:
    """x to y in opset 20."""
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", shape), ("y", None)))
    initializers = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "g", [x], [y], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def check(path: Path, shape: Sequence[int], *, fast: bool) -> None:
    """Ours is onnxruntime's but for the order of sums; whether the transform is a fast one on an M4."""
    x = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    (right,) = onnxruntime.InferenceSession(path).run(None, {"x": x})
    graph = optimize(load(path, floats="all"))
    found = interpreter.run(graph, [x])[graph.outputs[0]]
    np.testing.assert_allclose(found.reshape(right.shape), right, rtol=1e-5, atol=1e-5 * np.abs(right).max())
    products = [graph.site(node) for node in graph.nodes if node.op.kind == "fully_connected"]
    best = min(kernels_of(products[0], M4), key=lambda each: each.price)
    assert (best.variant == "fourier_transform") == fast


@pytest.mark.parametrize("window", ["HannWindow", "HammingWindow", "BlackmanWindow"])
def test_mel_spectrogram(window: str, tmp_path: Path) -> None:
    nodes = [
        helper.make_node(window, ["size"], ["window"]),
        helper.make_node("MelWeightMatrix", ["bins", "size", "rate", "low", "high"], ["mel"]),
        helper.make_node("STFT", ["x", "step", "window"], ["spectrum"]),
        helper.make_node("Mul", ["spectrum", "spectrum"], ["squares"]),
        helper.make_node("ReduceSum", ["squares", "last"], ["power"], keepdims=0),
        helper.make_node("MatMul", ["power", "mel"], ["y"]),
    ]
    integers = {"size": 120, "bins": 10, "rate": 8000, "step": 40}
    constants: dict[str, Any] = {name: np.int64(value) for name, value in integers.items()}
    constants |= {"low": np.float32(100), "high": np.float32(3500), "last": np.array([-1], np.int64)}
    check(model(nodes, constants, (1, SAMPLES, 1), tmp_path / "m.onnx"), (1, SAMPLES, 1), fast=True)


@pytest.mark.parametrize(
    ("length", "attributes", "fast"),
    [
        (64, {"onesided": 1}, True),
        (128, {"onesided": 1}, True),  # zeros behind the samples
        (98, {"onesided": 1}, False),  # 7 is no factor of a fast one
        (64, {}, False),
        (64, {"inverse": 1}, False),
    ],
)
def test_transform(length: int, attributes: dict[str, int], fast: bool, tmp_path: Path) -> None:
    node = helper.make_node("DFT", ["x", "length", "axis"], ["y"], **attributes)
    constants = {"length": np.int64(length), "axis": np.int64(1)}
    check(model([node], constants, (2, 64, 1), tmp_path / "m.onnx"), (2, 64, 1), fast=fast)


def test_lengths_of_an_inverse_of_one_side(tmp_path: Path) -> None:
    """onnxruntime agrees with numpy.fft.irfft for some only (findings/onnxruntime_inverse_dft_length.sh)."""
    node = helper.make_node("DFT", ["x", "length", "axis"], ["y"], inverse=1, onesided=1)
    for length in range(3, 14):
        path = model([node], {"length": np.int64(length), "axis": np.int64(1)}, (1, 5, 2), tmp_path / "m.onnx")
        if length in (6, 8, 9, 11, 13):
            check(path, (1, 5, 2), fast=False)
        else:
            with pytest.raises(UnsupportedError, match=f"{length} samples of 5 frequencies: runtimes disagree"):
                load(path, floats="all")


def test_a_window_that_is_computed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Slice", ["x", "zero", "end", "one"], ["flat"]),
        helper.make_node("Reshape", ["flat", "shape"], ["window"]),
        helper.make_node("STFT", ["x", "step", "window"], ["y"]),
    ]
    constants = {name: np.array([n], np.int64) for name, n in (("zero", 0), ("end", 32), ("one", 1), ("shape", 32))}
    path = model(nodes, {**constants, "step": np.int64(8)}, (1, 64, 1), tmp_path / "m.onnx")
    with pytest.raises(UnsupportedError, match="the window is computed at run time"):
        load(path, floats="all")
