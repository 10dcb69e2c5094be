"""Help of commands: options in groups, values as a|b|c, examples, and lines that fit narrow terminals."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from tinycompile.cli._examples import EXAMPLES

OPTION_GROUPS: Mapping[str, str] = {
    "Model": "--shape --state --signature --dtype --layout --io --match --input-stream --slide --keep-tokens --labels"
    " --width --camera --crop --resize --pixel-range"
    " --model --scale --frontend --backend --harness --app",
    "Target": "--target --board-path --align --flash-offset --probe --on --port --baud --timeout --cores"
    " --calibrated-by",
    "Memory and speed": "--ram --flash --optimize --schedule --weights --compress-weights --fast-code --fast-weights"
    " --pareto --steps --instructions --measure --weight-bytes --slower --compatible-with --updatable",
    "Quantisation": "--calib --calib-method --calib-effort --eval --strict-int8 --accuracy-loss --prune --weight-bits"
    " --group --method --bits --cluster",
    "Training": "--train --classes --loss --learning-rate --lr --accumulate --parameters --export-gradient"
    " --epochs --batch --rate --supernet --direct-epochs --cost-weight --widths --final-epochs --folds --shift --noise"
    " --trainer --seed",
    "Samples": "--samples --data --limit --sequence --repeat --check-certificate --jobs",
    "Measures": "--float --no-reference --task --output-index --threshold --at-least --at-most",
    "Search": "--engine --trials --finalists --sampler --workers --storage --by --resolutions",
    "Output": "--output --force --single-file --quiet --verbose --json --help",
}
"""Options of commands that have many, by their longest names; others are under OTHER."""

OTHER = "Others"
UNGROUPED = 10
"""A command with so many options shows them in one list."""

COMMAND_GROUPS: Mapping[str, str] = {
    "Models": "inspect calib quantize search spaces cost-table",
    "Builds": "build plan cost new",
    "Firmware": "run verify bisect evaluate profile bench train",
    "Budgets": "check diff",
    "Boards": "targets flash monitor",
    "About tinycompile": "ops completion",
}

NARROWEST, WIDEST = 30, 100
"""Columns that help is written for, whatever the terminal has."""

TWO_COLUMNS = 70
"""So many columns have room for options with their help beside them; else it is below."""

FIRST_COLUMN = 30
INDENT, BELOW = 2, 6


class _Context(click.Context):
    """Its help is as wide as the terminal."""

    def make_formatter(self) -> click.HelpFormatter:
        columns = self.terminal_width or shutil.get_terminal_size().columns
        return click.HelpFormatter(width=min(max(columns, NARROWEST), WIDEST) - 1)


def _brackets_off(term: str) -> str:
    """[a|b] as a|b: brackets are for what may be left out; what a range is stands behind the help."""
    term = term.removesuffix(" RANGE")
    return re.sub(r"\[([\w-]+(?:\|[\w-]+)*)\]$", r"\1", term)


def _long_name(option: click.Parameter) -> str:
    return max(option.opts, key=len)


def _group_of(option: click.Parameter) -> str:
    name = _long_name(option)
    return next((group for group, names in OPTION_GROUPS.items() if name in names.split()), OTHER)


def term_lines(term: str, width: int) -> list[str]:
    """A term such as "--schedule auto|layer|stream|patch" in lines of so many columns, broken behind "|" or ","."""
    lines = [""]
    for piece in re.split(r"(?<=[|,/])|(?<=\s)", term):
        if lines[-1] and len(INDENT * 2 * " " + lines[-1] + piece.rstrip()) > width:
            lines.append(" " * INDENT * 2)
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def _list_lines(pairs: Sequence[tuple[str, str]], width: int) -> Iterator[str]:
    """Terms with what they mean: beside them where there is room, else below."""
    beside = width >= TWO_COLUMNS or all(len(term) <= width // 4 for term, _ in pairs)
    first = min(max(len(term) for term, _ in pairs), FIRST_COLUMN) if beside else 0
    column = INDENT + first + 2 if beside else BELOW
    for term, text in pairs:
        terms = [" " * INDENT + line for line in term_lines(term, width - INDENT)]
        texts = [
            " " * column + line
            for line in textwrap.wrap(text, width - column, break_long_words=False, break_on_hyphens=False)
        ]
        if beside and len(terms) == 1 and len(term) <= first and texts:
            yield terms[0].ljust(column) + texts.pop(0).lstrip()
        else:
            yield from terms
        yield from texts


def example_lines(command: str, width: int) -> Iterator[str]:
    """A command in lines of so many columns, which a shell still takes as one."""
    # A word of an option stays with its value where both fit.
    words = re.findall(r"--?[\w-]+ (?!-)\S+|\S+", command)
    line = "tinycompile"
    for word in words:
        if len(line) + 1 + len(word) + 2 > width - INDENT:
            yield f"{line} \\"
            line = "   " + word
        else:
            line += f" {word}"
    yield line


def _write_list(formatter: click.HelpFormatter, title: str, pairs: Sequence[tuple[str, str]]) -> None:
    formatter.write_paragraph()
    formatter.write(f"{title}:\n")
    for line in _list_lines(pairs, formatter.width):
        formatter.write(f"{line}\n")


class Command(click.Command):
    """A command with examples, and its options in groups."""

    context_class = _Context

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {group: [] for group in (*OPTION_GROUPS, OTHER)}
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        records = [(each, record) for each in options if (record := each.get_help_record(ctx)) is not None]
        for option, (term, text) in records:
            group = _group_of(option) if len(records) > UNGROUPED else "Options"
            groups.setdefault(group, []).append((_brackets_off(term), text))
        for group, pairs in groups.items():
            if pairs:
                _write_list(formatter, group, pairs)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        examples = EXAMPLES.get(self.name or "", ())
        if examples:
            formatter.write_paragraph()
            formatter.write("Examples:\n")
        for purpose, line in examples:
            comment = textwrap.wrap(f"# {purpose}", formatter.width - INDENT, subsequent_indent="# ")
            for text in (*comment, *example_lines(line, formatter.width)):
                formatter.write(f"{' ' * INDENT}{text}\n")
        super().format_epilog(ctx, formatter)


def command(short_help: str | None = None) -> Callable[[Callable[..., None]], Command]:
    """A command, with what the list of all says of it: without that the first sentence of its help."""
    return click.command(cls=Command, short_help=short_help)


class Commands(click.Group):
    """All commands, in groups, in the order in which a user meets them."""

    context_class = _Context

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [each.get_help_record(ctx) for each in self.get_params(ctx) if isinstance(each, click.Option)]
        groups = {title: names.split() for title, names in COMMAND_GROUPS.items()}
        known = {name for names in groups.values() for name in names}
        groups[OTHER] = [name for name in self.commands if name not in known]
        for title, names in groups.items():
            found = [(name, self.commands[name]) for name in names if name in self.commands]
            if found:
                _write_list(formatter, title, [(name, each.get_short_help_str(100)) for name, each in found])
        _write_list(formatter, "Options", [record for record in records if record is not None])


class Renamed(click.Option):
    """An option with other names, such as those of earlier versions, which are accepted and not shown."""

    def __init__(self, *args: Any, earlier: Sequence[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.earlier = list(earlier)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        super().add_to_parser(parser, ctx)
        parser.add_option(obj=self, opts=self.earlier, dest=self.name, action="store", nargs=self.nargs)
