"""What there is to know before and after a build: `inspect`, `check`, `diff`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tinycompile import choices
from tinycompile.cli._help import command
from tinycompile.cli._shared import (
    PATH,
    Bytes,
    Count,
    Shape,
    console,
    explained,
    force_option,
    print_json,
    progress,
    say,
    target_option,
)
from tinycompile.errors import UnsupportedError, UsageError
from tinycompile.report.wrapping import fitted
from tinycompile.staging import may_write
from tinycompile.written import OVERWRITE, is_page_of_ours


@command(short_help="Show what a model holds, and whether it can be compiled.")
@click.argument("model", type=PATH)
@target_option
@click.option("--board-path", type=PATH, help="Folder with boards of your own.")
@click.option("--shape", "shapes", type=Shape(), multiple=True, help="Of an input with dynamic sizes: x=1,3,64,64.")
@click.option("--signature", help="Which one of a .tflite file is meant.  [default: the main subgraph]")
@click.option("--dtype", type=click.Choice(["int8", "float32"]), default="int8", show_default=True)
@click.option("--match", type=click.Choice(choices.MATCH_CHOICES), default="litert", show_default=True)
@click.option("--strict-int8", is_flag=True, help="An operator that can't run in 8 bits counts as unsupported.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def inspect(
    model: Path,
    target: str,
    board_path: Path | None,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    signature: str | None,
    dtype: str,
    match: choices.Runtime,
    strict_int8: bool,
    as_json: bool,
) -> None:
    """Show what MODEL holds, and all that the target can't compile of it. Exit code 2, as `build` then has, if there is
    any such thing."""
    from tinycompile.options import Options
    from tinycompile.report.inspection import inspect_model
    from tinycompile.targets import load_board

    floats = Options(dtype=dtype, strict_int8=strict_int8).floats
    board = load_board(target, board_path)
    found = inspect_model(model, board, dict(shapes), floats=floats, signature=signature, match=match)
    if as_json:
        print_json(found.as_dict())
    else:
        for line in found.lines():
            say(line)
    if not found.supported:
        sys.exit(UnsupportedError.exit_code)


@command(short_help="Compare a build with a budget.")
@click.argument("folder", type=PATH)
@click.option("--max-ram", type=Bytes(), help="Of the whole firmware, such as 64K.")
@click.option("--max-flash", type=Bytes(), help="Of the whole firmware, such as 256K.")
@click.option("--max-instructions", type=Count(), help="Of one inference, such as 20M: counted in QEMU.")
@click.option("--model", help="Which one, where FOLDER has several.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@explained
def check(
    folder: Path,
    max_ram: int | None,
    max_flash: int | None,
    max_instructions: int | None,
    model: str | None,
    as_json: bool,
) -> None:
    """Compare the build in FOLDER with a budget. Exit code 1 if it is exceeded."""
    from tinycompile.budget import Budget, check_budget
    from tinycompile.build import Build
    from tinycompile.report.document import model_names

    budget = Budget(max_ram, max_flash, max_instructions)
    if budget == Budget():
        raise UsageError("no limit was given", hint="--max-ram, --max-flash or --max-instructions")
    names = [model] if model is not None else model_names(folder)
    with progress(not as_json):
        found = [finding for name in names for finding in check_budget(Build(folder, model=name), budget)]
    if as_json:
        print_json(
            [{"model": f.model, "what": f.what, "value": f.value, "limit": f.limit, "over": f.over} for f in found]
        )
    else:
        for finding in found:
            say(finding.line())
    if any(finding.over for finding in found):
        sys.exit(1)


@command(short_help="Show what changed between two builds or reports.")
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option("--model", help="Which one, where there are several.")
@click.option("--html", type=PATH, help="Write a page to this file as well.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@force_option(OVERWRITE)
@explained
def diff(old: Path, new: Path, model: str | None, html: Path | None, as_json: bool, force: bool) -> None:
    """Show what changed from OLD to NEW: report.json files, or output folders."""
    from tinycompile.report.difference import changes, labels_of, remarks, table
    from tinycompile.report.document import load_report

    before, after = load_report(old, model), load_report(new, model)
    found, notes = changes(before, after), sorted(remarks(before, after))
    if html is not None:
        from tinycompile.report.difference_page import difference_page

        with may_write(html, is_page_of_ours, read=[old, new], force=force) as path:
            path.write_text(difference_page(before, after, (str(old), str(new))), encoding="utf-8")
    if as_json:
        print_json({"changes": [change.as_dict() for change in found], "remarks": notes})
        return
    for note in notes:
        say(note)
    shown = console()
    shown.print(fitted(table(found, labels_of(before, after)), shown))
