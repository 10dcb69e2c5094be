"""`tinycompile evaluate`: a build measured on labelled samples, beside its reference and the float model."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tinycompile.build import Build
from tinycompile.errors import ToolMissingError, UsageError
from tinycompile.evaluation.data import Labelled
from tinycompile.evaluation.outputs import firmware_outputs
from tinycompile.evaluation.pictures import image_axes, picture
from tinycompile.evaluation.scoring import Scored, scored
from tinycompile.ir import Array

WORST = 12
"""Samples that are shown."""


def evaluate_build(
    build: Build,
    data: Labelled,
    *,
    name: str,
    on: str = "host",
    reference: bool = True,
    float_model: Path | None = None,
    threshold: float = 0.5,
    jobs: int | None = None,
) -> dict[str, Any]:
    """Measure, and write `evaluation` to the report.

    Args:
        name: of the file with the samples.
        on: "host" or "qemu".
        reference: whether the framework that defines the model is measured, too, where it is installed.
        float_model: file of the model before it was quantised.
        threshold: from which on a single score means class 1.
        jobs: threads; None for as many as there are processors.

    Returns:
        What the report has then.
    """
    threads = jobs or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else jobs or os.cpu_count() or 1
    outputs, notes = {"firmware": firmware_outputs(build, data, on, threads)}, list[str]()
    if reference:
        from tinycompile.evaluation.others import reference_outputs  # which takes half a second to load

        try:
            outputs["reference"] = reference_outputs(build, data)
        except (ToolMissingError, UsageError) as error:
            notes.append(f"without the reference: {error.what}")
    if float_model is not None:
        from tinycompile.evaluation.others import float_outputs

        outputs["float"] = float_outputs(build, data, float_model)
        if build.report["options"].get("folded_output") == data.output:
            what = "what the softmax is given, which isn't computed; where the float model ends with it"
            notes.append(f"the build's scores are {what}, only classes can be compared")
    found = {column: scored(data, values, threshold) for column, values in outputs.items()}
    facts = facts_of(build, data, outputs, found)
    facts |= {"data": name, "on": on, "float_model": None if float_model is None else float_model.name, "notes": notes}
    build.add_to_report("evaluation", facts)
    return facts


def facts_of(build: Build, data: Labelled, outputs: dict[str, Array], found: dict[str, Scored]) -> dict[str, Any]:
    """What the report has of columns, by their names."""
    firmware, classes = found["firmware"], found["firmware"].classes
    names = _class_names(build, len(classes)) if classes else []
    return {
        "task": str(data.task),
        "samples": len(data.counted(data.inputs[0])),
        "output": data.output,
        "columns": [
            {"column": column, **{key: _number(value) for key, value in each.measures.items()}}
            for column, each in found.items()
        ],
        "agreement": [
            {"column": column, **_agreement(outputs["firmware"], values, firmware, found[column])}
            for column, values in outputs.items()
            if column != "firmware"
        ],
        "classes": [{"class": name, **asdict(each)} for name, each in zip(names, classes, strict=True)],
        "confusion": None if firmware.confusion is None else firmware.confusion.tolist(),
        "confused": [
            {"label": names[label], "decided": names[decided], "samples": count}
            for count, label, decided in firmware.pairs
        ],
        "worst": _worst(build, data, firmware, names),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None


def _class_names(build: Build, count: int) -> list[str]:
    labels: list[str] = build.report.get("labels") or []
    return labels if len(labels) == count else [str(number) for number in range(count)]


def _agreement(ours: Array, theirs: Array, mine: Scored, other: Scored) -> dict[str, Any]:
    """Between two columns: samples whose output is the same, places with the same class, the largest difference."""
    unlike: Array = np.not_equal(ours, theirs)
    unlike[np.isnan(ours) & np.isnan(theirs)] = False
    differs: Array = np.any(unlike.reshape(len(ours), -1), axis=1)
    found: dict[str, Any] = {"same_outputs": int(np.count_nonzero(~differs)), "outputs": len(differs)}
    apart = np.abs(ours[unlike] - theirs[unlike])
    found["largest_difference"] = _number(float(apart.max(initial=0)))
    if mine.decided is not None and other.decided is not None:
        agreed: Array = mine.decided == other.decided
        found["same_class"] = float(agreed.mean())
    return found


def _worst(build: Build, data: Labelled, found: Scored, names: Sequence[str]) -> list[dict[str, Any]]:
    """The worst first; only those that are wrong where a class is decided."""
    order = np.argsort(-found.badness, kind="stable")[:WORST]
    shown, per_sample = list[dict[str, Any]](), data.labels is not None and data.labels.ndim == 1
    for i in order.tolist():
        if found.badness[i] <= 0:
            break
        entry: dict[str, Any] = {"sample": i, "badness": _number(float(found.badness[i]))}
        if data.labels is not None and per_sample:
            label = int(data.labels[i])
            entry["label"] = names[label] if names else str(label)
        if per_sample and found.decided is not None:
            entry["decided"] = names[int(found.decided[i])]
        place = i * data.steps + data.steps - 1 if data.per_sequence else i
        entry["picture"] = _picture(build, data, place)
        shown.append(entry)
    return shown


def _picture(build: Build, data: Labelled, place: int) -> str | None:
    """Of the first input that is an image."""
    for array, t, entry in zip(data.inputs, build.inputs, build.report["inputs"], strict=True):
        axes = image_axes(t, entry.get("layout") or "model")
        if axes is not None:
            return picture(array[place], t, axes)
    return None
