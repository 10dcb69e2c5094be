"""docs/adding_an_op.md, followed literally in a copy of the tree: its files are written, its commands are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.pages import blocks

PAGE = ROOT / "docs" / "adding_an_op.md"
COPIED = ("tinycompile", "tests/__init__.py", "tests/conftest.py", "tests/ops", "tests/frontend", "tests/support")
LINKED = ("templates", "runtime", "board_support", "examples", "pyproject.toml")
MOST_FILES = 3


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What the page changes is copied, the rest of the tree is linked."""
    root = tmp_path / "tinycompile"
    for name in COPIED:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, root / name)
        else:
            shutil.copy(ROOT / name, root / name)
    for name in LINKED:
        (root / name).symlink_to(ROOT / name)
    return root


def remove(root: Path) -> None:
    """The page's files, which the tree has; what is added to others takes the place of what they have."""
    for block in blocks(PAGE):
        path = root / block.file
        if block.file and path.exists() and not block.file.startswith("tinycompile/frontend/"):
            assert path.read_text() == block.text, f"{block.file} isn't what the page says"
            path.unlink()


def write(path: Path, text: str) -> None:
    """A new file; or, of one that exists, imports among its imports and the rest at its end, as the page says."""
    if path.exists():
        old = path.read_text()
        added = re.findall(r"^from .*\n", text, re.MULTILINE)
        rest = re.sub(r"^from .*\n", "", text, flags=re.MULTILINE).strip("\n")
        last = [match.start() for match in re.finditer(r"^from ", old, re.MULTILINE)][-1]
        text = f"{old[:last]}{''.join(added)}{old[last:]}\n\n{rest}\n"
    path.write_text(text)


def commands() -> Iterator[str]:
    for block in blocks(PAGE):
        if block.language == "sh":
            yield from block.text.splitlines()


def test_the_page_works(tree: Path) -> None:
    named = [block for block in blocks(PAGE) if block.file]
    assert len([block for block in named if "/" in block.file]) <= MOST_FILES, "an operator like ABS takes no more"
    remove(tree)
    for block in named:
        write(tree / block.file, block.text)
    env = {
        **os.environ,
        "PYTHONPATH": str(tree),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    output = ""
    for command in commands():
        done = subprocess.run(["bash", "-euc", command], cwd=tree, env=env, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        output += done.stdout
    assert "bit-exact: 1 sample, 2 tensors, 512 values, 0 differences" in output, output
    rule = "int8 and int16; input and output may differ in scale and zero point. float32, int32."
    columns = "yes | yes | yes | LiteRT reference"
    lines = set((tree / "SUPPORTED_OPS.md").read_text().splitlines())
    assert {f"| ABS | {columns} | {rule} |", f"| abs | {rule} |"} <= lines
    assert str(tree / "tinycompile") == _where(tree, env), "another tinycompile was tested"


def _where(tree: Path, env: dict[str, str]) -> str:
    code = "import pathlib, tinycompile; print(pathlib.Path(tinycompile.__file__).parent)"
    return subprocess.check_output([sys.executable, "-c", code], cwd=tree, env=env, text=True).strip()
