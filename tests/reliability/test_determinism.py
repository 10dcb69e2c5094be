"""Same input, same bytes: in another folder, with another hash seed, at another time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boards.test_adding_a_board import BLOCKS
from tests.conftest import DIGITS, ROOT
from tests.support.compiler_cache import OFF
from tests.support.random_model import RandomModel

OPTIONS = {
    "embedded": [],
    "separate": ["--weights", "separate", "--target", "mps2-an386"],
    "rows": ["--schedule", "stream", "--single-file", "--target", "rp2040"],
    "host": ["--target", "host"],
    "board of one's own": ["--board-path", "boards", "--target", "made-up"],
}


def build(folder: Path, seed: str, options: list[str], model: str) -> dict[str, str]:
    """SHA-256 of every file but the compiler's by-products, by relative path."""
    folder.mkdir(parents=True)
    (folder / "digits.tflite").write_bytes((DIGITS / "digits_int8.tflite").read_bytes())
    (folder / "random.tflite").write_bytes(RandomModel(3).build(layers=5)[0])
    for _, name, text in BLOCKS:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    command = [sys.executable, "-m", "tinycompile", "build", model, "-o", "out", *options]
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), OFF: "off"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in (folder / "out").rglob("*"):
        if path.is_file() and path.parent.name != "build":
            assert str(folder).encode() not in path.read_bytes(), f"{path} knows where it was made"
    files = sorted(path for path in (folder / "out").rglob("*") if path.is_file() and path.parent.name != "build")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(("case", "model"), [(case, "digits.tflite") for case in OPTIONS] + [("rows", "random.tflite")])
def test_two_builds_are_the_same_bytes(case: str, model: str, tmp_path: Path) -> None:
    first = build(tmp_path / "a", "1", OPTIONS[case], model)
    second = build(tmp_path / "somewhere" / "else entirely", "4242", OPTIONS[case], model)
    assert first == second
    assert any(name.endswith((".elf", ".so")) for name in first) and "out/report.json" in first
