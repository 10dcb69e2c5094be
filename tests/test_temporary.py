"""Folders of processes that were killed are removed; those in use, and those of others, stay."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tinycompile import temporary
from tinycompile.temporary import TemporaryFolder

HOLDER = """
import time
from tinycompile.temporary import TemporaryFolder
folder = TemporaryFolder("layers")
print(folder.name, flush=True)
time.sleep(600)
"""


def test_what_a_killed_process_leaves_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    others = [tmp_path / name for name in ("tinycompile-notes", "mine.locked")]
    for other in others:
        other.mkdir()
    command = [sys.executable, "-c", HOLDER]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        left = Path(holder.stdout.readline().strip())
        (left / "layer.c").write_text("int x;")
        temporary._remove_abandoned.cache_clear()  # pyright: ignore[reportPrivateUsage]
        with TemporaryFolder() as used:
            assert left.parent == Path(used).parent == tmp_path
            assert left.is_dir(), "a folder in use was removed"
        holder.kill()
    temporary._remove_abandoned.cache_clear()  # pyright: ignore[reportPrivateUsage]
    with TemporaryFolder():
        assert not left.exists()
    assert sorted(tmp_path.iterdir()) == sorted(others)
