"""`verify --on serial` of models that ask for rows, keep states, or compute floats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Unpack

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
import tinycompile.serial_link.console as console_module
from tests.conftest import DIGITS
from tests.support.full import FULL
from tests.support.serial_board import bad_cable, emulated
from tests.support.variable_models import rows, streaming_model
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.options import CompileOptions
from tinycompile.toolchain import make
from tinycompile.trace import TracePart


def verified(
    file: Path, samples: Path, folder: Path, *more: str, **options: Unpack[CompileOptions]
) -> tuple[Build, str]:
    """Over a line that damages a frame in twenty."""
    build = tinycompile.compile(file, "mps2-an386", output=folder, **options)
    make(folder, "console")
    with emulated(folder / "firmware_console.elf", build.board) as port, bad_cable(port, 0.05) as (cable, _):
        arguments = ["verify", folder, "--on", "serial", "--port", cable, "--samples", samples, *more]
        result = CliRunner().invoke(main, [str(each) for each in arguments])
    assert result.exit_code == 0, result.output
    return build, result.output


@pytest.mark.skipif(not FULL, reason="another build: test-full")
def test_states_go_on_from_one_sample_to_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sequences begin again; also where a step is done once more, because a tensor of it is to be read."""
    sums = console_module.sums_of

    def other(parts: list[TracePart], count: int) -> list[int]:
        return [total ^ (layer == 0) for layer, total in enumerate(sums(parts, count))]

    monkeypatch.setattr(console_module, "sums_of", other)
    (file := tmp_path / "net.tflite").write_bytes(streaming_model())
    steps = 3
    sequences = np.stack([np.stack(rows(steps)), np.stack(rows(steps))[::-1]])
    np.savez(tmp_path / "x.npz", input_0=sequences)
    build, output = verified(file, tmp_path / "x.npz", tmp_path / "out", "--sequence", "--json")
    certificate = json.loads(output)
    assert build.report["ram"]["state_bytes"] > 0 and certificate["differences"] == 0
    assert certificate["samples"] == 2 * steps and certificate["sequence_steps"] == steps


@pytest.mark.skipif(not FULL, reason="another build: test-full")
def test_rows_are_asked_for(tmp_path: Path) -> None:
    samples, model = DIGITS / "digits_samples.npz", DIGITS / "digits_int8.tflite"
    build, output = verified(model, samples, tmp_path / "out", "--limit", "2", input_stream="rows")
    assert build.report["input_stream"] == "rows" and output.startswith("bit-exact: 2 samples")


@pytest.mark.skipif(not FULL, reason="another build: test-full")
def test_floats_that_this_machine_computes_otherwise_are_read(tmp_path: Path) -> None:
    data = np.load(DIGITS / "digits_calib.npz")
    np.savez(tmp_path / "x.npz", input_0=next(iter(data.values()))[:2].astype(np.float32))
    build, output = verified(DIGITS / "digits.onnx", tmp_path / "x.npz", tmp_path / "out", dtype="float32")
    assert output.startswith(("equal: 2 samples", "bit-exact: 2 samples")) and build.outputs[0].dtype.name == "float32"
