"""Code blocks of Markdown pages: what they are, and how they are run.

* ```sh: a script, run by bash; ```python: run with the names of the page's earlier Python blocks;
* ```console: commands after `$ `, each with the output that it prints, in which `...` stands for anything, lines
  included; what begins with `error: ` is a mistake's message;
* a block with a file name after its language is written to that file;
* ```text and everything else is not code that could run;
* a block after `<!-- not run: reason -->` isn't run;
* a page with a block after `<!-- needs: torch, sklearn -->` is run where these can be imported, by `make guides`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import ROOT

RUN = ("sh", "python", "console")
_FENCE = re.compile(
    r"(?:^<!-- (?:not run: (?P<reason>.+?)|needs: (?P<needs>.+?)) -->\n+)?"
    r"^```(?P<language>\S*)[ ]?(?P<file>\S*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A fenced block. `reason`: why it isn't run; empty if it is. `needs`: modules without which it can't be."""

    language: str
    file: str
    text: str
    reason: str
    needs: tuple[str, ...]
    line: int


def blocks(page: Path) -> list[Block]:
    text = page.read_text()
    return [
        Block(
            m["language"],
            m["file"],
            m["text"],
            m["reason"] or "",
            tuple(name.strip() for name in (m["needs"] or "").split(",") if name.strip()),
            text[: m.start("language")].count("\n") + 1,
        )
        for m in _FENCE.finditer(text)
    ]


def missing(page: Path) -> list[str]:
    """Modules that blocks of a page need and that aren't there."""
    needed = {name for block in blocks(page) for name in block.needs}
    return sorted(name for name in needed if find_spec(name) is None)


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
        # A mistake that the page is about has exit code 2, and its message is on the standard error.
        mistake = expected.startswith("error: ")
        accepted = f"{{ {command}; }} 2>&1 || [ $? = 2 ]" if mistake else f"{command} || [ $? = 1 ]"
        shown = _run(["bash", "-c", accepted], folder, env, where)
        pattern = re.escape(expected.rstrip() + "\n").replace(r"\.\.\.", "(?:.|\n)*?")
        lines = "".join(f"{line.rstrip()}\n" for line in shown.rstrip().splitlines())
        assert not expected.strip() or re.fullmatch(pattern, lines), f"{where}: `{command}` printed\n{shown}"
