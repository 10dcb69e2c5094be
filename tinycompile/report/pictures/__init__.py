"""Pictures of a report as SVG: geometry is computed here, templates/html/*.svg.j2 print it."""

from __future__ import annotations

from functools import cache

import jinja2
from markupsafe import Markup

from tinycompile.codegen.names import short_name
from tinycompile.resources import html_dir
from tinycompile.template_cache import compiled_templates


@cache
def environment() -> jinja2.Environment:
    """The environment of all HTML and SVG templates: everything is escaped."""
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(html_dir()),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
        bytecode_cache=compiled_templates(),
    )
    found.filters |= {"thousands": thousands, "short": short_name, "shape": shape_text}
    return found


def draw(template: str, **values: object) -> Markup:
    """A picture as markup."""
    return Markup(environment().get_template(template).render(**values))  # noqa: S704 - the template escapes


def thousands(number: float) -> str:
    return f"{number:,}"


def shape_text(shape: list[int] | tuple[int, ...] | None) -> str:
    return "" if shape is None else "x".join(map(str, shape))


def shortened(text: str, length: int) -> str:
    """The end of a text that is longer than `length`."""
    return text if len(text) <= length else f"…{text[1 - length :]}"


def beginning(text: str, length: int) -> str:
    """Of a text that is longer than `length`."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
