"""A firmware of what stands between quantised tensors: tables, functions per channel, attention, positions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import tinycompile
from tests.support.onnx_qdq import Qdq
from tinycompile.verify.compare import verify_build

pytest.importorskip("onnxruntime", reason="the reference for ONNX models")


def model() -> onnx.ModelProto:
    """Conv, ReLU, MaxPool; SiLU; a normalisation; attention of the pixels; the best one, and where it is negative."""
    q = Qdq((1, 3, 8, 8), "uint8", 3)
    b = q.b
    weights, scale = q.conv_weights((4, 3, 3, 3))
    y = b.node("Relu", b.node("Conv", q.a, weights, q.bias(4, scale), pads=[1, 1, 1, 1]))
    y = b.activation(b.node("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), 0.2, 100, "uint8")
    y = b.activation(b.node("Mul", y, b.node("Sigmoid", y)), 0.2, 10, "uint8")
    statistics = [b.constant(q.rng.uniform(0.5, 2, 4), np.float32) for _ in range(4)]
    y = b.activation(b.node("BatchNormalization", y, *statistics), 0.15, 120, "uint8")
    columns = b.node("Reshape", y, b.constant([1, 4, 16], np.int64))
    rows = b.node("Transpose", columns, perm=[0, 2, 1])
    scores = b.node("Mul", b.node("MatMul", rows, columns), b.constant(0.5, np.float32))
    shares = b.activation(b.node("Softmax", b.activation(scores, 3.0, 60, "uint8"), axis=-1), 1 / 255, 0, "uint8")
    y = b.activation(b.node("MatMul", shares, rows), 0.1, 120, "uint8")
    y = b.node("Concat", y, b.node("Max", rows, b.constant(-0.7, np.float32)), axis=2)
    y = b.activation(y, 0.1, 110, "uint8")
    b.output(b.node("ArgMax", y, axis=2, keepdims=0), "int64")
    b.output(b.node("Less", y, b.constant(0.0, np.float32)), "bool")
    b.output(b.activation(b.node("ReduceSum", y, b.constant([1], np.int64)), 0.5, 100, "uint8"))
    return b.model()


@pytest.mark.parametrize("target", ["mps2-an386", "microbit", "mps3-an547"])
def test_bits(target: str, tmp_path: Path) -> None:
    path = tmp_path / "regions.onnx"
    onnx.save(model(), str(path))
    build = tinycompile.compile(path, target=target, output=tmp_path / "o", strict_int8=True)
    x = np.random.default_rng(0).normal(0, 3, (2, *build.inputs[0].shape)).astype(np.float32)
    assert verify_build(build, [x]).difference is None
