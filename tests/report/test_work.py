"""What the report says about work saved, on the model that is known for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import tinycompile
from tinycompile.frontend import load
from tinycompile.passes import optimize
from tinycompile.work import Work, total, work_of


def test_elimination_on_the_visual_wake_words_model(shared: Callable[[str], Path]) -> None:
    graph = load(shared("models/vww_96_int8.tflite"))
    before, after = total(work_of(graph)), total(work_of(optimize(graph)))
    assert before.macs == 7_489_664
    assert before.weight_bytes == 207_600 + 512  # with the fully connected layer
    assert after.macs <= 3_733_029
    assert after.weight_bytes <= 30_000


def test_the_report_adds_up(shared: Callable[[str], Path], tmp_path: Path) -> None:
    report = tinycompile.compile(shared("models/vww_96_int8.tflite"), "mps2-an386", output=tmp_path / "o").report
    macs, saved = report["macs"], report["eliminated"]
    assert saved["macs"] == macs["nominal"] - macs["executed"] > 0
    assert macs["executed"] == sum(layer["macs"] for layer in report["layers"])
    for what in ("channels", "macs", "weight_bytes"):
        assert saved[what] == sum(layer["eliminated"][what] for layer in report["layers"])
    counted = sum("requantisation" in layer["notes"] for layer in report["layers"])
    assert counted == sum(report["requantisation"].values())
    assert all(layer["notes"]["chosen"] for layer in report["layers"])


def test_work_is_a_sum() -> None:
    assert Work(1, 2, 3) + Work(4, 5, 6) - Work(1, 1, 1) == Work(4, 6, 8)
