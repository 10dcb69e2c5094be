"""`tinycompile new`: a folder with an application around a model, which is the user's from then on."""

from __future__ import annotations

import shutil
import tempfile
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tinycompile.errors import UsageError, system_reason
from tinycompile.ir import Array
from tinycompile.resources import apps_dir, examples_dir
from tinycompile.targets import Board
from tinycompile.version import __version__

FILES = ("app.c", "decision.c", "decision.h", "source.h", "source_samples.c", "source_board.c")
SAMPLES = 8
"""In flash, so that the application can be tried without a sensor."""

STACK_BYTES = 768
"""What the application needs beyond the firmware that a build has measured: scores, and calls of its own."""

_C_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float"}


@dataclass(frozen=True)
class App:
    """A kind of application, as its `app.toml` says.

    Attributes:
        name: of its folder in `templates/app`.
        facts: title, what it does, model, samples, labels, and how scores become answers.
    """

    name: str
    facts: dict[str, Any]

    @cached_property
    def model(self) -> Path:
        return examples_dir() / self.facts["model"]

    @cached_property
    def samples(self) -> tuple[Array, list[str]]:
        """(inputs, the label of each) that the example has to test with."""
        with np.load(examples_dir() / self.facts["samples"]) as data:
            numbers = data["labels" if "labels" in data else "y"]
            return data[self.facts["array"]], [self.facts["labels"][int(number)] for number in numbers]


def all_apps() -> list[str]:
    return sorted(path.parent.name for path in apps_dir().glob("*/app.toml"))


def load_app(name: str) -> App:
    """Raises UsageError: there is no such application."""
    if name not in all_apps():
        raise UsageError(f"there is no application {name!r}", hint=f"--app {'|'.join(all_apps())}")
    return App(name, tomllib.loads((apps_dir() / name / "app.toml").read_text()))


def new_application(folder: Path, app: App, board: Board) -> list[str]:
    """Write an application to a folder that doesn't exist yet, whole or not at all.

    Returns:
        The files, relative to the folder.

    Raises:
        UsageError: the folder exists, or can't be written; a board that has no firmware.
    """
    if board.is_host:
        raise UsageError("an application is for a microcontroller", hint="--target with a board")
    if folder.exists():
        raise UsageError(
            "the folder exists",
            where=str(folder),
            why="an application is its user's as soon as it is written, so nothing is ever overwritten",
            hint="give another folder",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            staging.chmod(0o755)
            _write(staging, app, board)
            staging.rename(folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise UsageError("the folder can't be written", where=str(folder), why=system_reason(error)) from error
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _write(folder: Path, app: App, board: Board) -> None:
    samples, truth = app.samples
    model = f"model{app.model.suffix}"
    shutil.copyfile(app.model, folder / model)
    shutil.copyfile(examples_dir() / app.facts["samples"], folder / "samples.npz")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in app.facts["labels"]))
    (folder / ".gitignore").write_text("build/\n")
    (folder / "firmware").mkdir()
    few = samples[:SAMPLES].reshape(min(SAMPLES, len(samples)), -1)
    emulated = board.emulated()
    tools = board.toolchain
    values = {
        "app": app.facts,
        "name": app.name,
        "board": board,
        "version": __version__,
        "model": model,
        "quiet": [int(label in app.facts["quiet"]) for label in app.facts["labels"]],
        "count": len(few),
        "truth": truth[: len(few)],
        "c_type": _C_TYPES[samples.dtype.name],
        "elements": few.shape[1],
        "rows": [", ".join(_c_value(value) for value in row) for row in few],
        "stack": STACK_BYTES,
        "console": _objects(tools.startup + tools.console),
        "semihosting": _objects(tools.startup + tools.semihosting),
        "machine": emulated.qemu.machine if emulated is not None and emulated.qemu is not None else "",
        "qemu_elf": "run.elf" if board.qemu is not None else "run_qemu.elf",
        "emulator": "",
    }
    if emulated is not None and emulated.qemu is not None:
        words = [tools.emulator, "-machine", emulated.qemu.machine, "-display", "none", "-monitor", "none"]
        values["emulator"] = " ".join([*words, "-serial", "stdio", *tools.emulator_flags])
    templates = Environment(
        loader=FileSystemLoader(apps_dir() / "common"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - C and make, not HTML
    )
    for name in ("Makefile", "README.md", *FILES):
        target = folder / "firmware" / name if name in FILES else folder / name
        target.write_text(templates.get_template(f"{name}.j2").render(values))


def _objects(sources: tuple[Path, ...]) -> str:
    return " ".join(f"build/firmware/{source.stem}.o" for source in sources)


def _c_value(value: Any) -> str:
    number = value.item()
    return f"{number!r}f" if isinstance(number, float) else str(number)
