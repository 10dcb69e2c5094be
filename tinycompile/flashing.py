"""`tinycompile flash`: writes a firmware that has a UART to a board, with the tool that its description names."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tinycompile.build import Build
from tinycompile.errors import TargetError, ToolFailedError, ToolMissingError, UsageError
from tinycompile.targets import Board
from tinycompile.toolchain import make, run

FIRMWARES = {"console": "firmware_console", "harness": "firmware_harness", "energy": "firmware_energy"}
"""By what `--firmware` says."""

_INSTALL = {
    "pyocd": 'pip install "tinycompile[flash]"',
    "openocd": "apt-get install openocd (Debian)",
    "st-flash": "apt-get install stlink-tools (Debian)",
}
_NO_PROBE = ("no available debug probes", "no connected debug probes", "couldn't find", "no device found")
_NO_PROBE_MORE = ("unable to open", "unable to find", "open failed")


def flash(build: Build, probe: str | None = None, firmware: str = "console") -> str:
    """Build a firmware and write it to the board, after separate weights.

    Args:
        probe: serial number of the debug probe, where there are several.
        firmware: of `FIRMWARES`: the one that prints on the UART, or for a benchmark's runner.

    Returns:
        The commands that were run.

    Raises:
        UsageError: the build has no such firmware. TargetError: the board can't be flashed.
        ToolMissingError, ToolFailedError: no tool, no probe, or it failed.
    """
    if firmware != "console" and not (build.folder / "firmware" / "main_harness.c").exists():
        raise UsageError(
            "this build has no firmware for a benchmark",
            where=str(build.folder),
            hint="build it with --harness mlperf-tiny",
        )
    images = [f"{FIRMWARES[firmware]}.hex"]
    if build.weights is not None:
        images.insert(0, f"{build.weights.stem}.hex")
    commands = [_command(build.board, probe, image) for image in images]
    command = commands[-1]
    make(build.folder, *images, toolchain=build.board.toolchain)
    try:
        for each in commands:
            run(each, cwd=build.folder, timeout=300)
    except ToolFailedError as error:
        if any(text in error.why.lower() for text in (*_NO_PROBE, *_NO_PROBE_MORE)):
            raise ToolFailedError(
                f"{command[0]} found no debug probe" if probe is None else f"there is no debug probe {probe}",
                where=build.board.name,
                why=error.why,
                hint="connect the board's debugger by USB; `pyocd list` shows the probes",
            ) from error
        if "not recognized" in error.why and "--target" in command:
            raise ToolFailedError(
                f"pyocd doesn't know the chip {command[command.index('--target') + 1]}",
                where=build.board.name,
                why=error.why,
                hint=f"pyocd pack install {command[command.index('--target') + 1]}",
            ) from error
        raise
    return "; ".join(" ".join(each) for each in commands)


def _command(board: Board, probe: str | None, image: str) -> list[str]:
    if board.flasher is None:
        raise TargetError(
            f"{board.name} can't be flashed",
            why="its board.toml has no [flash] section",
            hint=f"{board.folder / 'README.md'} says how to run it",
        )
    tool, target = board.flasher.tool, board.flasher.target
    match tool:
        case "pyocd":
            return [*_pyocd(), "load", "--no-wait", "--target", target, *_option("--uid", probe), image]
        case "openocd":
            serial = ["-c", f"adapter serial {probe}"] if probe else []
            program = ["-c", f"program {image} verify reset exit"]
            return [_find(tool), "-f", "interface/stlink.cfg", *serial, "-f", target, *program]
        case "st-flash":
            return [_find(tool), *_option("--serial", probe), "--reset", "--format", "ihex", "write", image]
        case _:
            raise TargetError(
                f"unknown flashing tool {tool!r}",
                where=str(board.folder / "board.toml"),
                hint=f"one of: {', '.join(_INSTALL)}",
            )


def _option(name: str, value: str | None) -> Sequence[str]:
    return [name, value] if value else []


def _pyocd() -> list[str]:
    """The program on PATH or, in a virtual environment that isn't activated, the module beside us."""
    if shutil.which("pyocd") is None and importlib.util.find_spec("pyocd") is not None:
        return [sys.executable, "-m", "pyocd"]
    return [_find("pyocd")]


def _find(tool: str) -> str:
    path = shutil.which(tool)
    if path is None:
        raise ToolMissingError(f"{tool} was not found on PATH", why="it writes the board's flash", hint=_INSTALL[tool])
    return str(Path(path))
