"""`report.json`: reading it. Its keys are a public interface; new ones are added, none is renamed."""

from __future__ import annotations

import json
import os
import shlex
import tempfile
from pathlib import Path
from typing import Any, cast

from tinycompile.errors import UsageError
from tinycompile.staging import MARKER

CERTIFICATE = "certificate.json"
"""What `verify` writes beside the report."""

PARAMETERS = "source/parameters.npz"
"""What a model that learns begins with, where that isn't what its file has."""


def load_report(folder: Path, model: str | None = None) -> dict[str, Any]:
    """The report of an output folder, of one of its models if there are several; or a report.json itself.

    Raises:
        UsageError: not an output folder of tinycompile, or it isn't clear which model is meant.
    """
    report = load_document(folder)
    if "models" not in report:
        models = {report["model"]: report}
    else:
        models = {entry["model"]: entry for entry in report["models"]}
    if model is None and len(models) == 1:
        return next(iter(models.values()))
    if model not in models:
        what = "the build has several models" if model is None else f"there is no model {model!r} in this build"
        raise UsageError(what, where=str(folder), hint=f"--model with one of: {', '.join(models)}")
    return models[model]


def model_names(folder: Path) -> list[str]:
    """The models of an output folder. Raises UsageError."""
    document = load_document(folder)
    return [entry["model"] for entry in document.get("models", [document])]


def load_document(folder: Path) -> dict[str, Any]:
    """All that report.json says, of one or several models. Raises UsageError."""
    path = folder if folder.is_file() else folder / MARKER
    if folder.is_file() and folder.suffix != ".json":
        raise not_a_folder(folder)
    try:
        report: Any = json.loads(path.read_text())
        if not isinstance(report, dict) or "model" not in report or not report.keys() & {"layers", "models"}:
            raise ValueError("the keys `model` and `layers` are missing")
    except FileNotFoundError as error:
        raise _no_build(folder) from error
    except (OSError, ValueError) as error:
        hint = "`tinycompile build` writes it again"
        raise UsageError("the report can't be read", where=str(path), why=str(error), hint=hint) from error
    return cast(dict[str, Any], report)


def not_a_folder(path: Path) -> UsageError:
    """A file was given where the output folder of a build is wanted."""
    if path.suffix.lower() in (".tflite", ".onnx"):
        hint = f"`tinycompile build {shlex.quote(str(path))} -o out` makes one; then give out"
    elif (path.parent / MARKER).exists():
        hint = f"give the folder itself: {path.parent}"
    else:
        hint = "`tinycompile build MODEL -o out` makes one; then give out"
    return UsageError("this is a file, the output folder of a build is wanted", where=str(path), hint=hint)


def _no_build(folder: Path) -> UsageError:
    if not folder.exists():
        made = sorted(p.parent.name for p in folder.parent.glob(f"*/{MARKER}"))[:5] if folder.parent.is_dir() else []
        hint = f"builds beside it: {', '.join(made)}" if made else "`tinycompile build MODEL -o out` makes one"
        return UsageError("there is no such folder: not a tinycompile build", where=str(folder), hint=hint)
    models = sorted([*folder.glob("*.tflite"), *folder.glob("*.onnx")])[:3]
    command = f"tinycompile build {shlex.quote(str(models[0]))} -o out" if models else "tinycompile build"
    hint = f"`{command}` first"
    return UsageError("not a tinycompile build", where=str(folder), why=f"there is no {MARKER}", hint=hint)


def replace_file(path: Path, text: str) -> None:
    """Write a file so that a reader finds the old content or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(name, 0o644)
    os.replace(name, path)
