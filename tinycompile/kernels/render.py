"""Text of generated C: Jinja2 templates under `templates/c/`, strict about undefined names."""

from __future__ import annotations

from functools import cache

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from tinycompile.resources import templates_dir


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
    )


def render(template: str, **values: object) -> str:
    """Render `templates/c/<template>`."""
    return environment().get_template(template).render(**values)
