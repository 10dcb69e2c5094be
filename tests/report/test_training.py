"""What reports say of models that learn: a step of training isn't a prediction."""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests.support.onnx_builder import OnnxBuilder
from tinycompile.cli import main
from tinycompile.report import table
from tinycompile.report.summary import counted_as, duration, executed_macs, prediction_layers, rows, work


def report_of(train: str | None, **run: Any) -> dict[str, Any]:
    """Of three layers, the last of which is behind a prediction, if the model learns."""
    layers = [
        {
            "op": op,
            "macs": macs,
            "instructions": None if op == "weight_gradient" else count,
            "instructions_estimate": count,
            "waiting_estimate": {"low": count // 10, "high": count // 5},
        }
        for op, macs, count in (("conv2d", 100, 1000), ("begin_backward", 0, 0), ("weight_gradient", 300, 4000))
        if train or op != "begin_backward"
    ]
    total = {end: sum(each["waiting_estimate"][end] for each in layers) for end in ("low", "high")}
    return {
        "target": "a-board",
        "options": {"train": train},
        "board": {"clock_hz": 1e6, "core": "a-core"},
        "macs": {"executed": 400, "nominal": 100},
        "time": {"cycles_per_instruction": [1.0, 1.0], "waiting_total": total, "assumes": []},
        "layers": layers,
    } | run


@pytest.mark.parametrize(
    ("train", "run", "of", "macs", "cycles", "waiting"),
    [
        (None, {}, "inference", 400, 5000, (500, 1000)),
        (None, {"run": {"instructions": 5100}}, "inference", 400, 5100, (500, 1000)),
        ("head", {}, "training step", 400, 5000, (500, 1000)),
        ("head", {"run": {"instructions": 1100}}, "prediction", 100, 1100, (100, 200)),
    ],
)
def test_what_is_counted(train, run, of, macs, cycles, waiting):
    report = report_of(train, **run)
    assert (counted_as(report), executed_macs(report), work(report).instructions) == (of, macs, cycles)
    assert prediction_layers(report) == (2 if train else None)
    assert [row.path.split(".")[1] for row in rows(report)] == [
        str(i) for i in range(2 if run and train else len(report["layers"]))
    ]
    time = duration(report)
    assert time is not None
    assert (time.core["low"], (time.waiting["low"], time.waiting["high"])) == (cycles, waiting)


@pytest.mark.parametrize("counted", [None, 4321])
def test_what_a_step_takes(counted):
    """On the terminal, also if nobody has counted it."""
    parts = {"forward": (1, 100, 1000), "backward": (0, 0, 0), "update": (1, 300, 4000)}
    report = report_of("head") | {"verify_training": {"instructions_per_step": counted}}
    report["training"] = {
        phase: {"layers": layers, "macs": macs, "instructions_estimate": count}
        for phase, (layers, macs, count) in parts.items()
    } | {"parameters": [{}], "parameter_bytes": 8, "prediction_bytes": 64, "kept_bytes": 16, "gradient_bytes": 32}
    lines = [text for _, text in table._training(report)]
    assert "its gradients: about 0" in lines
    assert "its updates: about 4,000, for 300 MACs" in lines
    assert ("a training step: 4,321, counted by `verify --train`" in lines) == bool(counted)
    assert "1 parameter of 8 bytes, in states" in lines
    assert "a prediction takes 64 bytes of the arena, 16 are kept for gradients" in lines


def test_float_outputs_behind_a_prediction_are_edges(tmp_path: Path):
    b, rng = OnnxBuilder(21), np.random.default_rng(0)
    x = b.activation(b.input((1, 8)), 0.1, 0)
    w = b.weights(rng.integers(-127, 128, (8, 4)).astype(np.int8), 0.01, 0)
    b.output(b.activation(b.node("MatMul", x, w), 0.1, 0))
    onnx.save(b.model(), str(tmp_path / "m.onnx"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = CliRunner().invoke(main, ["plan", str(tmp_path / "m.onnx"), "--train", "head"])
    assert result.exit_code == 0, result.output
    assert "instructions per training step" in result.stdout
    assert re.search(r"a prediction ends with step (\d+), the backward pass begins with step", result.stdout)
    assert "float32" not in result.stderr
