"""The same model on every core that QEMU has, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tinycompile.targets import all_boards


@pytest.mark.parametrize("name", [name for name, board in all_boards().items() if board.emulated()])
def test_digits_are_bit_exact_on_every_emulated_board(name: str, tmp_path: Path) -> None:
    data = np.load(DIGITS / "digits_samples.npz")
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target=name, output=tmp_path / "out")
    np.testing.assert_array_equal(build.run(data["input_0"][:8], on="qemu"), data["output_0"][:8])
    report = build.report
    assert report["run"]["instructions"] > report["macs"]["executed"] // 8
    assert report["run"]["stack_bytes_painted"] < 1024
    assert report["ram"]["total_bytes"] < report["ram"]["limit_bytes"]
