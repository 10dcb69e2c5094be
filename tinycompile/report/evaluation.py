"""What `evaluate` found, for the terminal: from the report's `evaluation` alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

NAMES = {
    "top1": "top-1",
    "top5": "top-5",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "mean_iou": "mean IoU",
    "auc": "AUC",
    "mse": "MSE",
    "mae": "MAE",
    "r2": "R²",
}
"""Of measures, by their keys, for people."""

COLUMNS = {"firmware": "firmware", "reference": "int8 reference", "float": "float"}

MATRIX_CLASSES = 12
"""Up to so many a confusion matrix fits a terminal."""

CONFUSED = 8
"""Pairs of classes that are listed where the matrix doesn't fit."""


def column_names(report: Mapping[str, Any]) -> dict[str, str]:
    """What columns are called: the reference of a model of floats isn't int8."""
    kinds = {entry["dtype"] for layer in report["layers"] for entry in layer["outputs"]}
    return {**COLUMNS, "reference": "reference"} if not kinds & {"int8", "uint8", "int16"} else COLUMNS


def tables(report: Mapping[str, Any]) -> Iterator[Table | str]:
    """Measures, classes, the confusion matrix, each behind what it is."""
    facts = report["evaluation"]
    yield escape(f"{report['model']}: {facts['samples']:,} samples of {facts['data']}")
    yield _measures(facts, column_names(report))
    if facts["classes"]:
        yield "by class, of the firmware:"
        yield _classes(facts)
        if len(facts["classes"]) <= MATRIX_CLASSES:
            yield "how many of a class (rows) were taken for which one (columns):"
            yield _matrix(facts)


def _measures(facts: Mapping[str, Any], names: Mapping[str, str]) -> Table:
    table = Table(box=None)
    table.add_column("")
    for column in facts["columns"]:
        table.add_column(names[column["column"]], justify="right")
    for key in facts["columns"][0]:
        if key != "column":
            table.add_row(NAMES[key], *(_shown(column[key]) for column in facts["columns"]))
    return table


def _shown(value: float | None) -> str:
    if value is None:
        return "undefined"
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4g}"


def _classes(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None)
    for name in ("class", "samples", "precision", "recall", "F1"):
        table.add_column(name, justify="left" if name == "class" else "right")
    for each in facts["classes"]:
        shares = (f"{each[key]:.4f}" for key in ("precision", "recall", "f1"))
        table.add_row(escape(each["class"]), f"{each['samples']:,}", *shares)
    return table


def _matrix(facts: Mapping[str, Any]) -> Table:
    table = Table(box=None)
    table.add_column("")
    for number in range(len(facts["classes"])):
        table.add_column(str(number), justify="right")
    for number, (each, row) in enumerate(zip(facts["classes"], facts["confusion"], strict=True)):
        name = each["class"] if each["class"] == str(number) else f"{number} {each['class']}"
        table.add_row(escape(name), *(f"{count:,}" if count else "." for count in row))
    return table


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What is behind the tables."""
    facts, names = report["evaluation"], column_names(report)
    for each in facts["agreement"]:
        same = f"{each['same_outputs']:,} of {each['outputs']:,} outputs are the same"
        classes = f", {100 * each['same_class']:.2f} % the same class" if "same_class" in each else ""
        apart = each["largest_difference"]
        largest = f"; at most {apart:.4g} apart" if apart else ""
        yield f"firmware and {names[each['column']]}: {same}{classes}{largest}"
    if len(facts["classes"]) > MATRIX_CLASSES:
        for each in facts.get("confused", [])[:CONFUSED]:  # which older reports don't have
            yield f"{each['samples']:,} of {each['label']} taken for {each['decided']}"
    worst = [str(each["sample"]) for each in facts["worst"]]
    if worst:
        yield f"worst samples: {', '.join(worst)}"
    yield from facts["notes"]
