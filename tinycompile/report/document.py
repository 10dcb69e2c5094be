"""`report.json`: reading and writing. Its keys are a public interface; new ones are added, none is renamed."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from tinycompile.errors import UsageError
from tinycompile.staging import MARKER


def load_report(folder: Path) -> dict[str, Any]:
    """The report of an output folder.

    Raises:
        UsageError: not an output folder of tinycompile.
    """
    path = folder / MARKER
    try:
        report = json.loads(path.read_text())
        if not isinstance(report, dict) or "model" not in report or "layers" not in report:
            raise ValueError("the keys `model` and `layers` are missing")
    except FileNotFoundError as error:
        raise UsageError(
            "not a tinycompile build",
            where=str(folder),
            why=f"there is no {MARKER}",
            hint="run `tinycompile build` first",
        ) from error
    except (OSError, ValueError) as error:
        raise UsageError("the report can't be read", where=str(path), why=str(error)) from error
    return report


def save_report(folder: Path, report: dict[str, Any]) -> None:
    """Replace the report in one step, so that an interruption leaves the old one."""
    handle, name = tempfile.mkstemp(prefix=".report.", dir=folder)
    with os.fdopen(handle, "w") as file:
        json.dump(report, file, indent=2)
        file.write("\n")
    os.chmod(name, 0o644)
    os.replace(name, folder / MARKER)
