"""Code blocks of Markdown pages: what they are, and how they are run.

* ```sh: a script, run by bash; ```python: run with the names of the page's earlier Python blocks;
* ```console: commands after `$ `, each with the output that it prints, in which `...` stands for anything, lines
  included;
* a block with a file name after its language is written to that file;
* ```text and everything else is not code that could run;
* a block after `<!-- not run: reason -->` isn't run.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

RUN = ("sh", "python", "console")
_FENCE = re.compile(
    r"(?:^<!-- not run: (?P<reason>.+?) -->\n+)?^```(?P<language>\S*)[ ]?(?P<file>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `reason`: why it isn't run; empty if it is."""

    language: str
    file: str
    text: str
    reason: str
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(m["language"], m["file"], m["text"], m["reason"] or "", text[: m.start("language")].count("\n") + 1)
        for m in _FENCE.finditer(text)
    ]


def environment(folder: Path) -> dict[str, str]:
    """With a `tinycompile` that is this checkout's."""
    tools = folder / ".bin"
    tools.mkdir(exist_ok=True)
    script = tools / "tinycompile"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tinycompile "$@"\n')
    script.chmod(0o755)
    paths = [str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {**os.environ, "PATH": os.pathsep.join(paths), "PYTHONPATH": str(ROOT)}


def run_page(page: Path, folder: Path) -> None:
    """Every block of a page, in order, in a folder. Raises AssertionError with the block's place."""
    env, python = environment(folder), ""
    for block in blocks(page):
        where = f"{page.name}:{block.line}"
        if block.file:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
        elif block.reason or block.language not in RUN:
            continue
        elif block.language == "python":
            python += block.text
            _run([sys.executable, "-c", python], folder, env, where)
        elif block.language == "sh":
            _run(["bash", "-euo", "pipefail", "-c", block.text], folder, env, where)
        else:
            _console(block.text, folder, env, where)


def _run(command: list[str], folder: Path, env: dict[str, str], where: str) -> str:
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{where}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def _console(text: str, folder: Path, env: dict[str, str], where: str) -> None:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        shown = _run(["bash", "-c", f"{command} || [ $? = 1 ]"], folder, env, where)
        pattern = re.escape(expected.rstrip() + "\n").replace(r"\.\.\.", "(?:.|\n)*?")
        lines = "".join(f"{line.rstrip()}\n" for line in shown.rstrip().splitlines())
        assert not expected.strip() or re.fullmatch(pattern, lines), f"{where}: `{command}` printed\n{shown}"
