"""Same input, same bytes: in another folder, with another hash seed, at another time."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.boards.test_adding_a_board import BLOCKS
from tests.conftest import DIGITS, ROOT
from tests.support.compiler_cache import OFF
from tests.support.random_model import RandomModel
from tinycompile.disk_cache import SWITCH

BUILDS = {
    "embedded": ["digits.tflite"],
    "separate": ["digits.tflite", "--weights", "separate", "--target", "mps2-an386"],
    "rows": ["random.tflite", "--schedule", "stream", "--single-file", "--target", "rp2040"],
    "host": ["digits.tflite", "--target", "host"],
    "own_board": ["digits.tflite", "--board-path", "boards", "--target", "made-up"],
}
PROGRAM = """
import json, sys
from tinycompile.cli import main

for arguments in json.loads(sys.argv[1]):
    main(["build", *arguments], standalone_mode=False)
"""


def build_all(folder: Path, seed: str, names: list[str]) -> dict[str, str]:
    """SHA-256 of every file but the compiler's by-products, by relative path. One process, in the order of `names`."""
    folder.mkdir(parents=True)
    (folder / "digits.tflite").write_bytes((DIGITS / "digits_int8.tflite").read_bytes())
    (folder / "random.tflite").write_bytes(RandomModel(3).build(layers=5)[0])
    for _, name, text in BLOCKS:
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    builds = json.dumps([[*BUILDS[name], "-o", f"out/{name}"] for name in names])
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), OFF: "off", SWITCH: "off"}
    command = [sys.executable, "-c", PROGRAM, builds]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = sorted(path for path in (folder / "out").rglob("*") if path.is_file() and path.parent.name != "build")
    for path in files:
        assert str(folder).encode() not in path.read_bytes(), f"{path} knows where it was made"
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_two_builds_are_the_same_bytes(tmp_path: Path) -> None:
    """Nor does a build depend on those before it in the same process: the second time they come in reverse."""
    first = build_all(tmp_path / "a", "1", list(BUILDS))
    second = build_all(tmp_path / "somewhere" / "else entirely", "4242", list(reversed(BUILDS)))
    assert first == second
    for name in BUILDS:
        made = [Path(path) for path in first if path.startswith(f"out/{name}/")]
        assert any(path.suffix in (".elf", ".so") for path in made)
        assert any(path.name == "report.json" for path in made)
