"""Mistakes a user can make: one clear message, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.conftest import DIGITS
from tinycompile.cli import main

MODEL = DIGITS / "digits_int8.tflite"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def assert_explained(result: Result, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.output, result.output


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """Where a failed build must leave nothing."""
    (tmp_path / "work").mkdir()
    return tmp_path / "work" / "out"


def assert_untouched(output: Path) -> None:
    assert list(output.parent.iterdir()) == []


@pytest.mark.parametrize("size", [0, 1, 7, 100, 5000])
def test_truncated_model(size: int, tmp_path: Path, output: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(MODEL.read_bytes()[:size])
    assert_explained(invoke("build", broken, "-o", output), "broken.tflite")
    assert_untouched(output)


def test_missing_model(output: Path) -> None:
    assert_explained(invoke("build", "nowhere.tflite", "-o", output), "nowhere.tflite")
    assert_untouched(output)


def test_unknown_target_lists_the_known_ones(output: Path) -> None:
    assert_explained(invoke("build", MODEL, "--target", "stm32f9", "-o", output), "stm32f9", "stm32f746")
    assert_untouched(output)


def test_missing_toolchain(output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert_explained(invoke("build", MODEL, "-o", output), "arm-none-eabi-gcc", "apt-get install")
    assert_untouched(output)


@pytest.mark.parametrize("schedule", ["auto", "stream"])
def test_model_that_does_not_fit(schedule: str, shared: Callable[[str], Path], output: Path) -> None:
    model, options = shared("models/vww_96_int8.tflite"), ("--target", "microbit", "--schedule", schedule)
    assert_explained(invoke("build", model, *options, "-o", output), "fit", "in use together")
    assert_untouched(output)


def test_arena_limit_that_is_too_small(output: Path) -> None:
    assert_explained(invoke("build", MODEL, "--ram", "100", "-o", output), "fit")
    assert_untouched(output)


def test_refuses_to_replace_a_foreign_folder(output: Path) -> None:
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    assert_explained(invoke("build", MODEL, "-o", output), "no tinycompile build made", "thesis.txt", "--force")
    assert (output / "thesis.txt").read_text() == "years of work"


def test_a_failed_rebuild_keeps_the_previous_one(output: Path, tmp_path: Path) -> None:
    assert invoke("build", MODEL, "-o", output).exit_code == 0
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"TFL3" * 10)
    assert_explained(invoke("build", broken, "-o", output))
    assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before


def test_run_without_a_build(tmp_path: Path) -> None:
    assert_explained(invoke("run", tmp_path, "--input", tmp_path / "x.npz"), "not a tinycompile build")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((2, 5, 5), np.int8), "shape"),
        (np.zeros((2, 8, 8, 1), np.int32), "int32"),
        (np.zeros((0, 8, 8, 1), np.int8), "sample"),
    ],
)
def test_wrong_samples(array: np.ndarray, words: str, output: Path, tmp_path: Path) -> None:
    assert invoke("build", MODEL, "-o", output).exit_code == 0
    samples = tmp_path / "x.npz"
    np.savez(samples, input_0=array)
    assert_explained(invoke("run", output, "--input", samples), words)


def test_samples_that_are_no_numpy_file(output: Path, tmp_path: Path) -> None:
    assert invoke("build", MODEL, "-o", output).exit_code == 0
    (tmp_path / "x.npz").write_text("hello")
    assert_explained(invoke("run", output, "--input", tmp_path / "x.npz"), "NumPy")
