"""`--keep-tokens` from a file to C: against onnxruntime in front of the pruning, and its definition behind it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import tinycompile
from tests.support.onnx_builder import OnnxBuilder
from tinycompile import interpreter
from tinycompile.cli import main
from tinycompile.cli.samples import _left_open
from tinycompile.errors import SamplesError, UsageError
from tinycompile.frontend import load
from tinycompile.options import Options
from tinycompile.report.document import load_document
from tinycompile.verify.compare import verify_build
from tinycompile.verify.outcome import LayerCount

pytest.importorskip("onnxruntime", reason="the reference for ONNX models")

TOKENS, WIDTH, CLASSES = 8, 4, 3


def encoder() -> onnx.ModelProto:
    """Two attentions of tokens to themselves, the mean of what is left, in QDQ."""
    b = OnnxBuilder()
    x = b.activation(b.input((1, TOKENS, WIDTH)), 0.05, 3)
    for _ in range(2):
        scores = b.activation(b.node("MatMul", x, b.node("Transpose", x, perm=[0, 2, 1])), 0.2, -5)
        shares = b.activation(b.node("Softmax", scores, axis=-1), 1 / 256, -128)
        x = b.activation(b.node("Add", x, b.activation(b.node("MatMul", shares, x), 0.04, 1)), 0.08, 2)
    mean = b.activation(b.node("ReduceMean", x, axes=[1], keepdims=0), 0.03, -4)
    weights = np.random.default_rng(0).integers(-127, 128, (WIDTH, CLASSES)).astype(np.int8)
    b.output(b.activation(b.node("MatMul", mean, b.weights(weights, 0.01, 0)), 0.05, 0))
    return b.model()


def test_a_pruned_model(tmp_path: Path) -> None:
    """Every layer of its firmware, its report, and what is lost on samples; in C and as the command prints it."""
    path, out = tmp_path / "encoder.onnx", tmp_path / "out"
    onnx.save(encoder(), str(path))
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, (40, 1, TOKENS, WIDTH)).astype(np.float32)
    np.savez(tmp_path / "eval.npz", x=x[:, 0], y=rng.integers(0, CLASSES, 40))
    wishes = ["--keep-tokens", "1=5,first", "--keep-tokens", "2=3", "--eval", str(tmp_path / "eval.npz")]
    found = CliRunner().invoke(main, ["build", str(path), "--target", "host", "-o", str(out), *wishes])
    assert found.exit_code == 0, found.output
    assert "5 of 8, 3 of 5 go on" in found.output and "top-1: all tokens" in found.output
    build = tinycompile.Build(out)
    result = verify_build(build, [x])
    assert result.differences == 0 and result.witnesses[-1].options == "--keep-tokens 1=5,first 2=3"
    assert [each.role for each in result.witnesses] == ["compared with", "decides ties", "compared with"]
    (said,) = _left_open(replace(result, layers=(LayerCount("sum", ties=2),), skipped=()), {})
    assert "decided by onnx ReferenceEvaluator" in said, said
    assert any("keep_tokens" in layer.name for layer in result.layers)
    assert any(count.name == "model output 0" for count in result.layers)
    report = load_document(out)
    pruning = report["pruning"]
    assert [(each["tokens"], each["kept"]) for each in pruning["attentions"]] == [(8, 5), (5, 3)]
    assert report["macs"]["executed"] < pruning["macs"] and report["options"]["keep_tokens"] == ["1=5,first", "2=3"]
    whole = load(path)
    before = [interpreter.run(whole, [each])[whole.outputs[0]].argmax() for each in x]
    assert pruning["loss"]["agreement"] == np.mean(np.reshape(build.run(x), (40, -1)).argmax(axis=1) == before)


def test_what_goes_together(tmp_path: Path) -> None:
    """And samples of another number than their labels."""
    with pytest.raises(UsageError, match="--slide doesn't go with --keep-tokens"):
        Options(slide="1=1", keep_tokens=("1=4",)).check()
    with pytest.raises(UsageError, match="LAYER=K"):
        Options(keep_tokens=("4",)).check()
    path = tmp_path / "encoder.onnx"
    onnx.save(encoder(), str(path))
    np.savez(tmp_path / "eval.npz", x=np.zeros((4, TOKENS, WIDTH), np.float32), y=np.zeros(3))
    with pytest.raises(SamplesError, match="3 labels for 4 samples"):
        tinycompile.compile(path, "host", keep_tokens=["1=5"], evaluation=tmp_path / "eval.npz")
