"""A full disk, Ctrl-C, a kill and a missing compiler leave the previous output as it was, and nothing beside it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tinycompile
from tests.conftest import DIGITS, ROOT
from tests.support.full import also
from tinycompile.disk_cache import SWITCH

MODEL = DIGITS / "digits_int8.tflite"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "out"
    tinycompile.compile(MODEL, target="mps2-an386", output=folder)
    return folder


@pytest.fixture
def previous(made: Path, tmp_path: Path) -> Path:
    """An earlier build, alone in its folder."""
    (tmp_path / "work").mkdir()
    return Path(shutil.copytree(made, tmp_path / "work" / "out"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def started(output: Path, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tinycompile", "build", str(MODEL), "-o", str(output)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )  # type: ignore[call-overload]


def assert_kept(previous: Path, before: dict[str, bytes]) -> None:
    assert content(previous) == before
    assert [path.name for path in previous.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("limit", [0, 3000, 40_000, *also(100)])
def test_a_full_disk(limit: int, previous: Path) -> None:
    """Writes fail beyond a size, as on a disk with no more room: at the first file, in the middle, in the compiler."""

    def small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    before = content(previous)
    process = started(previous, preexec_fn=small_files)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2 and "Traceback" not in output, output
    assert_kept(previous, before)


def compiler(folder: Path, script: str) -> dict[str, str]:
    """An environment in which the compiler is this shell script."""
    folder.mkdir(exist_ok=True)
    (folder / "arm-none-eabi-gcc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "arm-none-eabi-gcc").chmod(0o755)
    return {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}


def interruptible() -> None:
    """A suite that a script runs in the background inherits a SIGINT that is ignored, and so would the compiler."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("signals", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_while_the_compiler_runs(signals: signal.Signals, previous: Path, tmp_path: Path) -> None:
    """A compiler that begins to write its object file and doesn't come to an end."""
    before, tools = content(previous), tmp_path / "bin"
    # No child before the last: a shell that waits for one goes on after SIGINT where the child ended by itself.
    script = f'echo unfinished > unfinished.o; : > "{tools}/runs"; exec sleep 60'
    environment = compiler(tools, script) | {SWITCH: "off"}  # or the cache would ask for its library in this folder
    process = started(previous, env=environment, preexec_fn=interruptible)
    while not (tools / "runs").exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signals)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in output, (process.returncode, output)
    assert_kept(previous, before)


def test_a_compiler_that_is_missing_or_fails(previous: Path, tmp_path: Path) -> None:
    before = content(previous)
    tools = tmp_path / "bin"
    tools.mkdir()
    for environment in ("", str(tools)):
        process = started(previous, env={"PATH": environment, "PYTHONPATH": str(ROOT)})
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 2 and "arm-none-eabi-gcc" in output and "Traceback" not in output, output
    process = started(previous, env=compiler(tools, "exit 1"))
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and "Traceback" not in output, output
    assert_kept(previous, before)
