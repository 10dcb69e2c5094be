"""`tinycompile diff --html`: what changed between two builds as one page, without scripts and without network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from tinycompile.report.difference import Change, changes, labels_of, remarks
from tinycompile.report.html import stylesheet
from tinycompile.report.pictures import environment
from tinycompile.report.pictures.arena import arena_picture
from tinycompile.written import MARK


@dataclass(frozen=True)
class Line:
    """A change as the page has it: parts of the larger of both figures in percent, for the bars."""

    change: Change
    label: str
    old: float
    new: float

    @property
    def delta(self) -> str:
        return f"{self.change.delta:+,}"

    @property
    def kind(self) -> str:
        """Less is better, of all that is compared."""
        return "bad" if self.change.delta > 0 else "good" if self.change.delta < 0 else ""


def difference_page(old: dict[str, Any], new: dict[str, Any], names: tuple[str, str]) -> str:
    """The page for two reports. Args: names: what the user calls them."""
    found, labels = changes(old, new), labels_of(old, new)
    lines = [_line(change, labels.get(change.layer, "")) for change in found]
    return (
        environment()
        .get_template("difference.html.j2")
        .render(
            mark=MARK,
            css=stylesheet(),
            names=names,
            models=(old, new),
            remarks=sorted(remarks(old, new)),
            totals=[line for line in lines if not line.change.layer],
            layers=[line for line in lines if line.change.layer],
            arenas=[_arena(report) for report in (old, new)],
        )
    )


def _line(change: Change, label: str) -> Line:
    most = max(change.old or 0, change.new or 0) or 1
    return Line(change, label, 100 * (change.old or 0) / most, 100 * (change.new or 0) / most)


def _arena(report: dict[str, Any]) -> Markup | None:
    return arena_picture(report) if report.get("arena") and report["layers"] else None
