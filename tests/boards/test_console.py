"""The firmware for a board without a debugger: what it prints on the UART, and the commands around it."""

from __future__ import annotations

import os
import pty
import stat
import tty
from pathlib import Path

import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS
from tinycompile.build import Build
from tinycompile.cli import main


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("console") / "out"
    tinycompile.compile(DIGITS / "digits_int8.tflite", target="stm32f746", output=folder)
    return folder


def test_monitor_shows_one_inference(built: Path) -> None:
    board_side, port = pty.openpty()
    text = (
        "output of an earlier run\r\nend\r\n\r\ntinycompile: digits on a board\r\nlayer 0 conv2d: 5\r\nend\r\nmore\r\n"
    )

    tty.setraw(board_side)
    os.write(board_side, text.encode())
    arguments = ["monitor", str(built), "--port", os.ttyname(port), "--once", "--timeout", "120"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert result.output == "tinycompile: digits on a board\nlayer 0 conv2d: 5\nend\n"


def test_monitor_explains_what_it_lacks(built: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for arguments, expected in [
        (["--port", str(tmp_path / "nothing")], "can't be opened"),
        (["--port", str(tmp_path / "file")], "not a serial port"),
        (["--port", str(tmp_path / "file"), "--baud", "12345"], "12345 baud"),
    ]:
        result = CliRunner().invoke(main, ["monitor", str(built), *arguments])
        assert result.exit_code == 2 and expected in result.output, result.output


def fake_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(stat.S_IRWXU)


def test_flash_runs_the_boards_tool(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(tmp_path / "bin", "pyocd", f'echo "$@" > {tmp_path}/arguments')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    result = CliRunner().invoke(main, ["flash", str(built), "--probe", "0123"])
    assert result.exit_code == 0, result.output
    arguments = (tmp_path / "arguments").read_text().split()
    assert arguments == ["load", "--no-wait", "--target", "stm32f746nghx", "--uid", "0123", "firmware_console.hex"]
    assert (built / "firmware_console.hex").stat().st_size > 1000


def test_flash_says_when_there_is_no_firmware_for_a_runner(built: Path) -> None:
    result = CliRunner().invoke(main, ["flash", str(built), "--firmware", "harness"])
    assert result.exit_code == 2 and "build it with --harness mlperf-tiny" in result.output


def test_flash_says_when_there_is_no_probe(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(tmp_path / "bin", "pyocd", "echo 'C No connected debug probes [__main__]' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    result = CliRunner().invoke(main, ["flash", str(built)])
    assert result.exit_code == 2
    assert "found no debug probe" in result.output and "pyocd list" in result.output


def test_flash_says_when_the_chip_needs_a_pack(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tool(tmp_path / "bin", "pyocd", "echo 'C Target type stm32f746nghx not recognized.' >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    result = CliRunner().invoke(main, ["flash", str(built)])
    assert result.exit_code == 2 and "pyocd pack install stm32f746nghx" in result.output


def test_flash_says_how_to_get_a_missing_tool(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinycompile.flashing.shutil.which", lambda _: None)
    monkeypatch.setattr("tinycompile.flashing.importlib.util.find_spec", lambda _: None)
    result = CliRunner().invoke(main, ["flash", str(built)])
    assert result.exit_code == 2 and 'pip install "tinycompile[flash]"' in result.output


def test_an_emulated_board_cannot_be_flashed(talking_build: Build) -> None:
    assert Build(talking_build.folder).board.flasher is None
    result = CliRunner().invoke(main, ["flash", str(talking_build.folder)])
    assert result.exit_code == 2 and "can't be flashed" in result.output
