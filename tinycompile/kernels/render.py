"""Text of generated C: Jinja2 templates under `templates/c/`, strict about undefined names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from tinycompile.lazy import lazy
from tinycompile.resources import templates_dir
from tinycompile.template_cache import compiled_templates


@cache
def environment() -> jinja2.Environment:
    """The one template environment. It reads our templates and no other file; C needs no autoescape."""
    return SandboxedEnvironment(
        loader=jinja2.FileSystemLoader(templates_dir()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
        bytecode_cache=compiled_templates(),
    )


def render(template: str | Path, **values: object) -> str:
    """Render `templates/c/<template>`, or a file that isn't one of ours; it may include those."""
    known = environment()
    found = known.from_string(template.read_text()) if isinstance(template, Path) else known.get_template(template)
    return found.render(**values)


class Later:
    """Text of a template that is rendered when somebody reads it.

    The planner prices many kernels and codegen prints few, so a kernel holds its text like this. Equal texts are equal.
    """

    def __init__(self, template: str, **values: object) -> None:
        """`templates/c/<template>` with these values."""
        self._template, self._values = template, values

    @lazy
    def text(self) -> str:
        return render(self._template, **self._values)

    def but(self, **values: object) -> Later:
        """The same template with these values."""
        return Later(self._template, **{**self._values, **values})

    def value(self, name: str) -> object:
        return self._values[name]

    def __str__(self) -> str:
        return self.text

    def __eq__(self, other: object) -> bool:
        return str(other) == self.text if isinstance(other, Later | str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.text)
