"""What a report says of a network's widths, and of all models of a firmware together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project
from tinycompile.codegen.slimmable import widths_of
from tinycompile.elf import bytes_with_prefix
from tinycompile.object_file import ObjectFile
from tinycompile.report.evaluation import NAMES
from tinycompile.report.firmware_sections import TogetherSection, WidthSection
from tinycompile.report.summary import work
from tinycompile.slimmable import shared_bytes


def width_section(image: Path, size: Mapping[str, int], project: Project, program: Program) -> WidthSection | None:
    """Of one width; None for a model that isn't one of several.

    Args:
        image: the linked firmware. size: bytes of its functions by name.
    """
    width = next((each for each in widths_of(project) if each.program is program), None)
    if width is None or program.width_of is None:
        return None
    kernels = [layer.kernel for layer in program.layers]
    own = sum(named.constant.bytes for named in program.constants)
    return WidthSection(
        of=program.width_of,
        percent=_number(width.percent),
        constant_bytes=own,
        shared_bytes=shared_bytes(kernels),
        flash_bytes=bytes_with_prefix(image, f"{program.model}_") + _layer_bytes(image, size, project, program),
        instructions_estimate=sum(kernel.instructions for kernel in kernels),
    )


def together_section(project: Project) -> TogetherSection | None:
    """What the models of a firmware have together; None where there is only one."""
    alone = len(project.programs) == 1
    return None if alone else TogetherSection(project.arena_bytes, project.scratch_bytes, project.state_bytes)


def _number(text: str) -> float:
    """A whole number as one, so that it is printed without a point."""
    return float(text) if "." in text else int(text)


def _layer_bytes(image: Path, size: Mapping[str, int], project: Project, program: Program) -> int:
    """Of the functions that its layers call and those of no wider network do, and of the tables inside of these."""
    content, taken = ObjectFile.read(image.parent / "build" / f"{program.unit}.o"), dict[int, int]()
    for each in project.programs:
        reached = [section for named in each.functions for section in content.reached(named.name)[0]]
        linked = {id(section): size.get(section.name, 0) if section.is_code else section.bytes for section in reached}
        if each is program:
            return sum(bytes_ for section, bytes_ in linked.items() if section not in taken)
        taken |= linked
    raise ValueError(f"{program.model} isn't one of the project's programs")


def width_lines(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A table for people: what each width takes; nothing for other models."""
    known = [report for report in reports if report.get("width")]
    if not known:
        return
    yield f"{'width':>7} {'arena':>9} {'flash':>9} {'shared':>9} {'instructions':>13}  accuracy"
    for report in known:
        width, done = report["width"], work(report)
        about = " " if done.measured else "~"
        yield (
            f"{width['percent']:>5g} % {report['ram']['arena_bytes']:>9,} {width['flash_bytes']:>9,} "
            f"{width['shared_bytes']:>9,} {about}{done.instructions:>12,}  {accuracy(report)}"
        ).rstrip()


def accuracy(report: dict[str, Any]) -> str:
    """What `evaluate` measured of the firmware, by its first measure; empty where nobody has."""
    path = accuracy_path(report)
    if path is None:
        return ""
    column, key = path.split(".")[2:]
    value = report["evaluation"]["columns"][int(column)][key]
    return f"{NAMES[key]} {value:.4f}" if value is not None else ""


def accuracy_path(report: dict[str, Any]) -> str | None:
    """Where that is in the report."""
    evaluation: dict[str, Any] = report.get("evaluation") or {}
    columns: list[dict[str, Any]] = evaluation.get("columns", [])
    for number, column in enumerate(columns):
        measures = [key for key in column if key != "column"]
        if column["column"] == "firmware" and measures:
            return f"evaluation.columns.{number}.{measures[0]}"
    return None
