"""External programs: found, run, and their failures turned into errors a user can act on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinycompile.errors import DoesNotFitError, ToolFailedError, ToolMissingError
from tinycompile.targets import Toolchain

_PACKAGES = {"make": "apt-get install make", "cc": "apt-get install gcc libc6-dev"}
"""Of what runs on this machine for any target; toolchains say theirs."""


def require(tool: str, toolchain: Toolchain | None = None) -> str:
    """Full path of a program.

    Args:
        toolchain: that it belongs to.

    Raises:
        ToolMissingError: it isn't on PATH; says which package has it.
    """
    path = shutil.which(tool)
    if path is None:
        packages = {**_PACKAGES, **(toolchain.packages if toolchain else {})}
        hint = f"{packages[tool]} (Debian)" if tool in packages else f"install {tool}, or add it to PATH"
        raise ToolMissingError(f"{tool} was not found on PATH", hint=hint)
    return path


def run(
    command: Sequence[str], *, cwd: Path, timeout: float | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a program without a shell and return its standard output.

    Raises:
        ToolFailedError: non-zero exit status or timeout; carries the end of its messages.
    """
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ToolFailedError(f"{Path(command[0]).name} did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        messages = f"{done.stdout}\n{done.stderr}".strip().splitlines()
        raise ToolFailedError(
            f"{Path(command[0]).name} failed with exit status {done.returncode}", why="\n    ".join(messages[-20:])
        )
    return done.stdout


def version(tool: str, toolchain: Toolchain | None = None) -> str:
    """The first line of what a program says of its version.

    Raises:
        ToolMissingError, ToolFailedError: it isn't there, or doesn't say.
    """
    return (run([require(tool, toolchain), "--version"], cwd=Path.cwd()).splitlines() or [""])[0]


class RegionOverflowError(DoesNotFitError):
    """The linker ran out of a memory region.

    Attributes:
        excess: bytes, by region.
    """

    def __init__(self, messages: Sequence[str]) -> None:
        why = "; ".join(dict.fromkeys(messages))
        hint = "choose a target with more memory, or a smaller model"
        super().__init__("the firmware does not fit the target", why=why, hint=hint)
        self.excess = dict[str, int]()
        for region, size in re.findall(r"region [`'](\w+)' overflowed by (\d+)", why):
            self.excess[region] = max(int(size), self.excess.get(region, 0))


def make(folder: Path, *goals: str, toolchain: Toolchain | None = None) -> None:
    """Build a generated project with its own Makefile.

    Args:
        toolchain: what it runs, to say first how to install it; None where an earlier goal has shown that it's there.

    Raises:
        ToolMissingError, ToolFailedError; DoesNotFitError where the linker ran out of a memory region.
    """
    if toolchain is not None:
        require(toolchain.tool("compiler"), toolchain)
    command = [require("make"), "--no-print-directory", f"-j{os.cpu_count() or 1}", *goals]
    try:
        run(command, cwd=folder, env={"LC_ALL": "C"})
    except ToolFailedError as error:
        overflow = [line.strip() for line in error.why.splitlines() if "overflowed" in line or "will not fit" in line]
        if overflow:
            raise RegionOverflowError(overflow) from error
        if toolchain is not None and (unknown := _unknown_core(toolchain, error.why)) is not None:
            raise unknown from error
        raise


def _unknown_core(toolchain: Toolchain, messages: str) -> ToolFailedError | None:
    """What to do where a compiler is too old for the board's core; None where its messages don't say so."""
    for option, since in toolchain.since.items():
        end = f": {option.partition('=')[2]}"
        found = [line.strip() for line in messages.splitlines() if "unrecognized" in line and line.endswith(end)]
        if found:
            return ToolFailedError(
                f"{toolchain.tool('compiler')} doesn't know {option}",
                why=found[0],
                hint=f"put {since} or a newer one on PATH, or choose an older core in the board's flags",
            )
    return None
