"""The way of somebody new, timed: `python -m tests.docs.newcomer` (`make newcomer`) runs what getting_started.md lists
under NEWCOMER in a fresh virtual environment and writes there how long each command took.

What needs the administrator (apt-get) is asked of the machine as it is: where the packages are there already, that
takes no time worth a figure.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.pages import with_block
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "getting_started.md"
NEWCOMER = "## From a PyTorch export to firmware"
BEGIN, END = "<!-- timed by make newcomer -->", "<!-- end -->"
MOST = 6
"""Commands, at the most."""


@dataclass(frozen=True)
class Timed:
    """A command with its seconds: on the clock, and of the processor."""

    command: str
    seconds: float
    processor: float
    output: str


def commands() -> list[str]:
    """Of the page, those that need the administrator first."""
    section = PAGE.read_text().partition(f"{NEWCOMER}\n")[2].partition("\n## ")[0]
    block = re.search(r"^```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    if block is None:
        raise SystemExit(f"{PAGE}: no commands under {NEWCOMER!r}")
    return [line.partition(" # ")[0].strip() for line in block[1].replace("\\\n", " ").splitlines() if line.strip()]


def timed(command: str, folder: Path, env: dict[str, str]) -> Timed:
    """Raises CalledProcessError, with what the command printed."""
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(["bash", "-ec", command], cwd=folder, env=env, check=True, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Timed(command, time.monotonic() - began, spent, done.stdout)


def table(found: list[Timed]) -> str:
    lines = ["| command | seconds | of them the processor's |", "|---|--:|--:|"]
    for each in found:
        words = " ".join(each.command.split()[:2])
        lines.append(f"| `{words}` | {each.seconds:.0f} | {each.processor:.0f} |")
    lines.append(f"| all | {sum(each.seconds for each in found):.0f} | {sum(each.processor for each in found):.0f} |")
    return "\n".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        checkout = Path(name) / "tinycompile"
        subprocess.run(["git", "worktree", "add", "--detach", str(checkout)], cwd=ROOT, check=True, capture_output=True)
        try:
            subprocess.run([sys.executable, "-m", "venv", str(Path(name) / "venv")], check=True)
            bin_folder = Path(name) / "venv" / "bin"
            env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
            env |= {"PATH": f"{bin_folder}{os.pathsep}{env['PATH']}", "TINYCOMPILE_CACHE": "off"}
            if os.geteuid() == 0 and shutil.which("sudo") is None:
                (bin_folder / "sudo").write_text('#!/bin/sh\nexec "$@"\n')
                (bin_folder / "sudo").chmod(0o755)
            found = list[Timed]()
            for command in commands():
                found.append(timed(command, checkout, env))
                print(f"{found[-1].seconds:6.1f} s  {command}\n{found[-1].output[-1500:]}")
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(checkout)], cwd=ROOT, check=False)
    when = f"{datetime.now(UTC):%d %B %Y}".lstrip("0")
    there = "compilers and QEMU installed before, tinycompile and what it needs fetched anew"
    said = f"{when}, {os.cpu_count()} cores, {there}:"
    PAGE.write_text(with_block(PAGE.read_text(), BEGIN, END, f"\n{said}\n\n{table(found)}\n"))


if __name__ == "__main__":
    main()
