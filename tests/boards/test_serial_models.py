"""`verify --on serial` of models that ask for rows, keep states, or compute floats."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tests.support.full import also
from tests.support.serial_board import bad_cable, emulated
from tests.support.variable_models import rows, streaming_model
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.options import CompileOptions
from tinycompile.toolchain import make


def verified(file: Path, samples: Path, folder: Path, *more: str, **options: object) -> tuple[Build, str]:
    """Over a line that damages a frame in twenty."""
    build = tinycompile.compile(file, "mps2-an386", output=folder, **CompileOptions(**options))  # pyright: ignore
    make(folder, "console")
    with emulated(folder / "firmware_console.elf", build.board) as port, bad_cable(port, 0.05) as (cable, _):
        arguments = ["verify", folder, "--on", "serial", "--port", cable, "--samples", samples, *more]
        result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return build, result.output


@pytest.mark.parametrize("dtype", ["int8", *also("float32")])
def test_states_go_on_from_one_sample_to_the_next(dtype: str, tmp_path: Path) -> None:
    """Sequences begin again; of floats, this machine's aren't the board's bit for bit, and tensors are read."""
    (file := tmp_path / "net.tflite").write_bytes(streaming_model())
    steps = 3
    sequences = np.stack([np.stack(rows(steps)), np.stack(rows(steps))[::-1]])
    np.savez(tmp_path / "x.npz", input_0=sequences)
    build, output = verified(file, tmp_path / "x.npz", tmp_path / "out", "--sequence", "--json")
    certificate = json.loads(output)
    assert build.report["ram"]["state_bytes"] > 0 and certificate["differences"] == 0
    assert certificate["samples"] == 2 * steps and certificate["sequence_steps"] == steps


def test_rows_are_asked_for(tmp_path: Path) -> None:
    samples = DIGITS / "digits_samples.npz"
    model = DIGITS / "digits_int8.tflite"
    build, output = verified(model, samples, tmp_path / "out", "--limit", "2", input_stream="rows")
    assert build.report["input_stream"] == "rows" and output.startswith("bit-exact: 2 samples")
