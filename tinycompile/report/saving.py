"""`report.json` and the page that shows it: written together, so that they never disagree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tinycompile.report.document import load_document, replace_file
from tinycompile.report.html import write_html
from tinycompile.staging import MARKER


def update_report(folder: Path, report: dict[str, Any]) -> None:
    """Replace what is said of one model."""
    document = load_document(folder)
    if "models" in document:
        entries = [report if entry["model"] == report["model"] else entry for entry in document["models"]]
        report = {**document, "models": entries}
    save_report(folder, report)


def save_report(folder: Path, report: dict[str, Any]) -> None:
    """Replace the report, and the page that shows it, each in one step, so that an interruption leaves the old one."""
    replace_file(folder / MARKER, json.dumps(report, indent=2) + "\n")
    write_html(folder)
