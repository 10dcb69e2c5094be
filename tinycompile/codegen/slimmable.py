"""Several widths of one network: the interface by which a caller chooses one (docs/slimmable.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinycompile.codegen.interface import any_alignment, quantization_text
from tinycompile.codegen.names import c_string, comment_text
from tinycompile.codegen.program import Program
from tinycompile.codegen.project import Project
from tinycompile.kernels.render import render


@dataclass(frozen=True, eq=False)
class WidthProgram:
    """A width as C names it.

    Attributes:
        label: the end of its names, in percent.
    """

    label: str
    program: Program

    @property
    def member(self) -> str:
        """Of the context."""
        return f"w{self.label}"

    @property
    def percent(self) -> str:
        return self.label.replace("_", ".")


def name_of(program: Program, label: str) -> str:
    """What all widths together are called, from one of them."""
    return program.model.removesuffix(f"_w{label}")


def with_widths(project: Project, labels: Sequence[str]) -> Project:
    """The project with an interface to its widths, if it has several.

    Args:
        labels: of its programs, the widest first.
    """
    if not labels:
        return project
    name = name_of(project.programs[0], labels[0])
    programs = tuple(replace(program, width_of=name) for program in project.programs)
    return replace(project, programs=programs, width_labels=tuple(labels))


def widths_of(project: Project) -> list[WidthProgram]:
    """Empty for a project of other models."""
    return [WidthProgram(*pair) for pair in zip(project.width_labels, project.programs, strict=False)]


def emit_widths(project: Project) -> dict[str, str]:
    """Interface, code and the layers' functions, by relative path; nothing for a project of other models."""
    widths = widths_of(project)
    if not widths:
        return {}
    first = widths[0].program
    values: dict[str, object] = {
        "m": first.width_of,
        "prefix": str(first.width_of).upper(),
        "widths": widths,
        "program": first,
        "origin": project.origin_line(),
        "arena_bytes": project.arena_bytes,
        "scratch_bytes": project.scratch_bytes,
        "any_alignment": any_alignment,
        "comment_text": comment_text,
        "quantization_text": quantization_text,
        "c_string": c_string,
    }
    functions = {named.name: named for width in widths for named in width.program.functions}
    layers = values | {
        "program": replace(first, model=str(first.width_of), functions=tuple(functions.values())),
        "models": [width.program.model for width in widths],
    }
    files = {f"{first.width_of}{end}": render(f"slimmable{end}.j2", **values) for end in (".h", ".c")}
    return files | {f"{first.width_of}_layers.h": render("layers.h.j2", **layers)}
