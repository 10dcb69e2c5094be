"""Ranges that can't be meant, seen without samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.tflite_builder import NONE, TfliteBuilder
from tinycompile.report.inspection import inspect_model
from tinycompile.targets import load_board


def inspected(path: Path, x_scale: float, y_scale: float) -> list[str]:
    b, rng = TfliteBuilder(), np.random.default_rng(0)
    x, y = b.tensor((1, 16), x_scale, 3), b.tensor((1, 8), y_scale, -5, name="y")
    w = b.constant(rng.integers(-127, 128, (8, 16)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=NONE)
    path.write_bytes(b.build([x], [y]))
    found = inspect_model(path, load_board("stm32f746"))
    ranges = found.as_dict()["implausible_ranges"]
    shown = [line for line in found.lines() if line.startswith("range")]
    assert shown == [f"{'range':<12} {each['tensor']}: {each['reason']}" for each in ranges]
    return [f"{each['tensor']}: {each['reason']}" for each in ranges]


@pytest.mark.parametrize(
    ("x_scale", "y_scale", "expected"),
    [
        (0.02, 0.1, []),
        (0.02, 20.0, ["y: the range is 89 times wider than what the weights can reach: 6 bits unused"]),
        (0.02, 0.002, ["y: the sums spread 8.8 times as wide as the range: most results will be at its ends"]),
        (1e-14, 1e-15, ["t0: the scale 1e-14: a calibration without samples, or with damaged ones?"]),
    ],
)
def test_ranges(x_scale: float, y_scale: float, expected: list[str], tmp_path: Path) -> None:
    assert inspected(tmp_path / "m.tflite", x_scale, y_scale)[: len(expected) or None] == expected
