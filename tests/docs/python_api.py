"""docs/python_api.md from docstrings: `python -m tests.docs.python_api > docs/python_api.md`, which `make api` does."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import tinycompile
from tinycompile import errors
from tinycompile.build import Build
from tinycompile.costs import Cost, LayerCost, WidthCost
from tinycompile.ir import TensorType
from tinycompile.options import CompileOptions, Options, PlanOptions
from tinycompile.quantize import quantize

HEAD = """# From Python

Written by `make api` from the docstrings; `tests/docs` sees that it is current. What isn't here is no
interface and may change.

```python
import numpy as np
import tinycompile

build = tinycompile.compile("model.tflite", target="stm32f746")
y = build.run(np.load("samples.npz")["input_0"])
print(build.report["flash"]["total_bytes"], "bytes of flash")
```

Every error is a `TinycompileError` with `what`, `where`, `why` and `hint`; [what each means](troubleshooting.md).
"""
SECTIONS = ("Args", "Attributes", "Returns", "Raises")
COLUMNS = 130


def paragraphs(text: str) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        yield textwrap.fill(" ".join(paragraph.split()), COLUMNS, break_long_words=False, break_on_hyphens=False)


def items(text: str) -> Iterator[str]:
    """Lines "name: text" of a section; an entry goes on where lines are indented further."""
    for entry in re.split(r"\n(?=\S)|(?<=\.) (?=[a-z_]+: )", textwrap.dedent(text).strip("\n")):
        name, colon, rest = " ".join(entry.split()).partition(": ")
        line = f"* `{name}`: {rest}" if colon and re.fullmatch(r"[\w., ]+", name) else f"* {name}{colon}{rest}"
        yield textwrap.fill(line, COLUMNS, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)


def documented(thing: object) -> Iterator[str]:
    """A docstring as Markdown: sections become lists."""
    parts = re.split(rf"^({'|'.join(SECTIONS)}):$", inspect.getdoc(thing) or "", flags=re.MULTILINE)
    yield "\n\n".join(paragraphs(parts[0]))
    for title, content in zip(parts[1::2], parts[2::2], strict=True):
        # Text that isn't indented any more belongs to the whole again.
        inside, _, behind = re.sub(r"\n\n(?=\S)", "\x00", content, count=1).partition("\x00")
        yield f"**{title}**"
        yield "\n".join(items(inside)) if title != "Returns" else "\n\n".join(paragraphs(inside))
        if behind:
            yield "\n\n".join(paragraphs(behind))


def parameter(each: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(each.kind, "")
    default = "" if each.default is inspect.Parameter.empty else f" = {each.default!r}"
    return f"{stars}{each.name}: {each.annotation}{default}"


def function(name: str, thing: Callable[..., Any]) -> Iterator[str]:
    signature = inspect.signature(thing)
    given = [each for each in signature.parameters.values() if each.name != "self"]
    parts = [parameter(each) for each in given]
    named = next((i for i, each in enumerate(given) if each.kind is inspect.Parameter.KEYWORD_ONLY), None)
    if named is not None:
        parts.insert(named, "*")
    call = f"{name}({', '.join(parts)}) -> {signature.return_annotation}"
    if len(call) > COLUMNS - 30:
        call = f"{name}(\n    " + ",\n    ".join(parts) + f",\n) -> {signature.return_annotation}"
    yield f"<!-- not run: a signature -->\n```python\n{call}\n```"
    yield from documented(thing)


def members(kind: type) -> Iterator[str]:
    for name, member in vars(kind).items():
        thing = member.fget if isinstance(member, property) else getattr(member, "func", member)
        if name.startswith("_") or not inspect.isfunction(thing) or not thing.__doc__:
            continue
        if thing is member:
            yield f"### `{kind.__name__}.{name}`"
            yield from function(name, thing)
        else:
            result = str(inspect.signature(thing).return_annotation)
            yield f"### `{kind.__name__}.{name}: {result}`"
            yield from documented(thing)


def page() -> str:
    parts = [HEAD.rstrip()]
    for name, thing in (("compile", tinycompile.compile), ("cost", tinycompile.cost), ("quantize", quantize)):
        module = "tinycompile" if name in tinycompile.__all__ else thing.__module__.partition(".ways")[0]
        parts += [f"## `{module}.{name}`", *function(name, thing)]
    parts += ["## Options", *documented(CompileOptions), *documented(Options)]
    in_both = ", ".join(f"`{name}`" for name in PlanOptions.__annotations__)
    parts += ["\n\n".join(paragraphs(f"`cost` takes {in_both}."))]
    for kind in (Build, Cost, LayerCost, WidthCost, TensorType):
        parts += [f"## `{kind.__name__}`", *documented(kind), *members(kind)]
    parts += ["## Errors"]
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and kind.__module__ == errors.__name__]
    parts += ["\n".join(f"* `{kind.__name__}`: {' '.join((kind.__doc__ or '').split())}" for kind in kinds)]
    text = "\n\n".join(part for part in parts if part) + "\n"
    return text.replace("](docs/", "](")  # docstrings link from the root, where the page isn't


if __name__ == "__main__":
    print(page(), end="")
