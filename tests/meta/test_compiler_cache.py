"""The compiler that tests see: what it copies is what the compiler makes."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.compiler_cache import COMPILER, OFF, compiler_cache

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")
SOURCE = '#include "n.h"\nint f(void);\nint f(void)\n{\n    int unused;\n    return N;\n}\n'
FLAGS = ("-mcpu=cortex-m4", "-mthumb", "-O2", "-g", "-fstack-usage", "-fcallgraph-info=su")


def compiled(folder: Path, number: int, *flags: str) -> tuple[dict[str, bytes], str]:
    """What is made of a header with this number, and what is said of it."""
    folder.mkdir()
    (folder / "f.c").write_text(SOURCE)
    (folder / "n.h").write_text(f"#define N {number}\n")
    command = [COMPILER, *FLAGS, f"-ffile-prefix-map={folder}=.", *flags, "-c", "f.c", "-o", "f.o"]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return {path.suffix: path.read_bytes() for path in folder.glob("f.*") if path.suffix != ".c"}, done.stderr


@pytest.mark.parametrize("flags", [("-w",), ("-Wall",), ("-Os",)])
def test_copies_are_what_the_compiler_makes(
    flags: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with compiler_cache():
        first, again, other = (compiled(tmp_path / f"{i}", n, *flags) for i, n in enumerate((1, 1, 2)))
        folder = Path(shutil.which(COMPILER) or "").parent
        kept = {path.suffix for path in folder.iterdir()} - {""}
    monkeypatch.setenv(OFF, "off")
    real = compiled(tmp_path / "real", 1, *flags)
    assert first == again == real and other[0] != first[0]
    assert ("unused" in again[1]) == ("-Wall" in flags)
    assert kept == (set() if "-Wall" in flags else {".ci", ".o", ".su"}) and set(first[0]) == {".ci", ".o", ".su"}


def test_assembly_is_not_mixed_up(tmp_path: Path) -> None:
    """It has no preprocessed text to be known by."""
    with compiler_cache():
        for number in (1, 2):
            (tmp_path / f"{number}.s").write_text(f".word {number}\n")
            subprocess.run([COMPILER, *FLAGS, "-c", f"{number}.s", "-o", f"{number}.o"], cwd=tmp_path, check=True)
    assert (tmp_path / "1.o").read_bytes() != (tmp_path / "2.o").read_bytes()
