"""`tinycompile diff`: what changed between two reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rich.markup import escape
from rich.table import Table

from tinycompile.report.layer_labels import layer_labels

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """A figure in both reports; None where one doesn't have it.

    Attributes:
        layer: empty for figures of the whole model.
    """

    layer: str
    what: str
    old: int | None
    new: int | None

    @property
    def delta(self) -> int:
        return (self.new or 0) - (self.old or 0)

    def percent(self) -> str:
        if not self.old or self.new is None:
            return ""
        return f"{100 * self.delta / self.old:+.1f} %"

    def as_dict(self) -> dict[str, Any]:
        return {"layer": self.layer or None, "what": self.what, "old": self.old, "new": self.new, "delta": self.delta}


def changes(old: Report, new: Report) -> list[Change]:
    """Every figure of RAM, flash and work, and those of the layers that differ, matched by name.

    Instructions are compared as counted if both reports have counts, else as estimated.
    """
    counted = all("run" in report for report in (old, new))
    what = "instructions" if counted else "instructions (estimate)"
    found = [Change("", name, _at(old, path), _at(new, path)) for name, path in _TOTALS]
    found.append(Change("", what, _instructions(old, counted), _instructions(new, counted)))
    return found + [change for change in _layers(old, new, what, counted) if change.delta]


def labels_of(old: Report, new: Report) -> dict[str, str]:
    """By a layer's name in the file what it's called; in the newer report, if it is there."""
    return {
        layer["name"]: label
        for report in (old, new)
        for layer, label in zip(report["layers"], layer_labels(report["layers"]), strict=True)
    }


def _given(value: object) -> str:
    """An option's value; what is none says so."""
    if value is None or value in ([], {}, ""):
        return "not given"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def remarks(old: Report, new: Report) -> Iterator[str]:
    """Other things that aren't the same."""
    for what in ("tinycompile", "model", "target", "schedule"):
        if old.get(what) != new.get(what):
            yield f"{what}: {old.get(what)} -> {new.get(what)}"
    if old["source"]["sha256"] != new["source"]["sha256"]:
        yield "the model file is another one"
    for option in sorted(old["options"].keys() | new["options"].keys()):
        if old["options"].get(option) != new["options"].get(option):
            yield f"--{option}: {_given(old['options'].get(option))} -> {_given(new['options'].get(option))}"
    before, after, labels = _kernels(old), _kernels(new), labels_of(old, new)
    for layer in before.keys() & after.keys():
        if before[layer] != after[layer]:
            yield f"{labels[layer]}: {before[layer]} -> {after[layer]}"


def table(found: list[Change], labels: Mapping[str, str]) -> Table:
    """For the terminal: all totals, then the layers that changed, by their labels."""
    result = Table(box=None, header_style="bold", pad_edge=False)
    result.add_column("", overflow="ellipsis", max_width=30)
    result.add_column("what", no_wrap=True)
    for name in ("old", "new", "change", ""):
        result.add_column(name, justify="right", no_wrap=True)
    for change in found:
        colour = "red" if change.delta > 0 else "green" if change.delta < 0 else "dim"
        old, new = ("-" if value is None else f"{value:,}" for value in (change.old, change.new))
        delta = f"[{colour}]{change.delta:+,}[/{colour}]" if change.delta else "[dim]=[/dim]"
        result.add_row(escape(labels.get(change.layer, "")), change.what, old, new, delta, change.percent())
    return result


_TOTALS = (
    ("RAM", "ram.total_bytes"),
    ("arena", "ram.arena_bytes"),
    ("scratch", "ram.scratch_bytes"),
    ("stack", "ram.stack_bytes"),
    ("flash", "flash.total_bytes"),
    ("weights", "flash.weights_bytes"),
    ("code", "flash.code_bytes"),
    ("MACs", "macs.executed"),
)


def _at(report: Report, path: str) -> int:
    group, key = path.split(".")
    return report[group][key]


def _instructions(report: Report, counted: bool) -> int:
    if counted:
        return report["run"]["instructions"]
    return sum(layer["instructions_estimate"] for layer in report["layers"])


def _layers(old: Report, new: Report, what: str, counted: bool) -> Iterator[Change]:
    key = "instructions" if counted else "instructions_estimate"
    before, after = ({layer["name"]: layer for layer in report["layers"]} for report in (old, new))
    for name in dict.fromkeys((*before, *after)):
        for figure, label in ((key, what), ("weights_bytes", "weights")):
            values = [layers[name][figure] if name in layers else None for layers in (before, after)]
            yield Change(name, label, *values)
        bits = [layers[name].get("weight_bits") if name in layers else None for layers in (before, after)]
        if None not in bits:
            yield Change(name, "bits of a weight", *bits)


def _kernels(report: Report) -> dict[str, str]:
    return {layer["name"]: layer["kernel"] for layer in report["layers"]}
