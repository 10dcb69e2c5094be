"""`--target host`: the system's C compiler alone, through cffi and as a command."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tinycompile.cli import main
from tinycompile.errors import UsageError

MODEL, SAMPLES = DIGITS / "digits_int8.tflite", DIGITS / "digits_samples.npz"
WITHOUT_ARM = ("cc", "make", "ld", "as", "mkdir", "sh", "uname")


@pytest.fixture
def no_arm_tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A PATH with the system's compiler but neither ARM tools nor QEMU."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for tool in WITHOUT_ARM:
        found = shutil.which(tool)
        if found:
            (tools / tool).symlink_to(Path(found).resolve() if tool != "cc" else found)
    monkeypatch.setenv("PATH", str(tools))


@pytest.mark.usefixtures("no_arm_tools")
def test_a_data_scientist_needs_no_arm_tool(tmp_path: Path) -> None:
    data = np.load(SAMPLES)
    build = tinycompile.compile(MODEL, target="host", output=tmp_path / "out")
    np.testing.assert_array_equal(build.run(data["input_0"][:20]), data["output_0"][:20])
    assert build.report["ram"]["arena_bytes"] > 0 and build.report["flash"]["weights_bytes"] > 0
    with pytest.raises(UsageError, match="no firmware"):
        build.run(data["input_0"][:1], on="qemu")


def test_the_command_reads_samples_from_its_standard_input(tmp_path: Path) -> None:
    data = np.load(SAMPLES)
    tinycompile.compile(MODEL, target="host", output=tmp_path / "out")
    command = subprocess.run(
        [tmp_path / "out" / "digits_int8"], input=data["input_0"][:5].tobytes(), capture_output=True, check=True
    )
    assert command.stdout == data["output_0"][:5].tobytes()
    assert not list((tmp_path / "out").glob("*.ci"))  # GCC leaves them here where it compiles to /dev/null


def test_run_and_verify_work_on_this_machine(tmp_path: Path) -> None:
    folder, output = str(tmp_path / "out"), tmp_path / "y.npz"
    assert CliRunner().invoke(main, ["build", str(MODEL), "--target", "host", "-o", folder]).exit_code == 0
    result = CliRunner().invoke(main, ["run", folder, "--input", str(SAMPLES), "--output", str(output), "--limit", "3"])
    assert result.exit_code == 0 and "3 samples on this machine" in result.output
    np.testing.assert_array_equal(np.load(output)["output_0"], np.load(SAMPLES)["output_0"][:3])
    pytest.importorskip("ai_edge_litert", reason="verify needs LiteRT")
    result = CliRunner().invoke(main, ["verify", folder, "--samples", str(SAMPLES), "--limit", "2"])
    assert result.exit_code == 0 and "bit-exact" in result.output
