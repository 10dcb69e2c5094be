"""Help: groups, values, examples, and lines that fit any terminal; old names of options; wrapped lines."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tinycompile.cli import COMMANDS, main
from tinycompile.cli._examples import EXAMPLES
from tinycompile.cli._help import COMMAND_GROUPS, OTHER, UNGROUPED, Command, Renamed, example_lines, term_lines
from tinycompile.cli.profile import profile
from tinycompile.report.wrapping import wrapped

NAMES = [command.name or "" for command in COMMANDS]


def help_of(name: str, columns: int) -> str:
    result = CliRunner().invoke(main, [name, "--help"] if name else ["--help"], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0
    return result.output


def options(command: click.Command) -> list[click.Option]:
    return [each for each in command.params if isinstance(each, click.Option)]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
@pytest.mark.parametrize("name", ["", *NAMES])
def test_no_line_is_wider_than_the_terminal(name: str, columns: int) -> None:
    for line in help_of(name, columns).splitlines():
        assert len(line) <= min(columns, 100) or " " not in line.strip(), line


@pytest.mark.parametrize("command", COMMANDS, ids=NAMES)
def test_every_option_of_a_command_is_shown_in_a_group(command: click.Command) -> None:
    text = help_of(command.name or "", 40)
    for option in options(command):
        assert option.hidden or re.search(rf"^ +(-\w, )?{re.escape(option.opts[0])}\b", text, re.MULTILINE), option.name
    if len(options(command)) > UNGROUPED:
        assert "\nOutput:\n" in text and "\nOptions:\n" not in text
        assert f"\n{OTHER}:\n" not in text, "an option that OPTION_GROUPS of cli/_help.py doesn't have"


def test_every_command_is_shown_in_a_group() -> None:
    assert all(isinstance(command, Command) for command in COMMANDS)
    text = help_of("", 80)
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in NAMES)
    assert f"\n{OTHER}:\n" not in text, "a command that COMMAND_GROUPS of cli/_help.py doesn't have"
    assert [title for title in COMMAND_GROUPS if f"\n{title}:\n" in text] == list(COMMAND_GROUPS)


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_commands_that_exist(name: str) -> None:
    assert EXAMPLES.get(name), f"{name} has no example in cli/_examples.py"
    for _, line in EXAMPLES[name]:
        words = shlex.split(line)
        assert words[0] == name
        context = main.commands[name].make_context(name, words[1:])  # raises for what the command doesn't take
        assert context.params
        for columns in (30, 40, 80):
            shown = "\n".join(example_lines(line, columns))
            assert shlex.split(shown.replace("\\\n", "")) == ["tinycompile", *words]


def test_values_are_listed() -> None:
    text = help_of("build", 80)
    for shown in (
        "--schedule auto|layer|stream|patch\n",
        "--io model|int8 ",
        "--calib-method auto|minmax|percentile|mse",
    ):
        assert shown in text
    assert "--on host|qemu" in help_of("train", 80)
    assert term_lines("--schedule auto|layer|stream|patch", 30) == ["--schedule auto|layer|", "    stream|patch"]


@pytest.mark.parametrize("name", ["run", "verify", "bisect", "profile"])
def test_samples_has_one_name_and_takes_the_earlier_one(name: str) -> None:
    command = main.commands[name]
    assert "--samples PATH" in help_of(name, 80) and "--input" not in help_of(name, 80)
    assert [each.opts for each in options(command) if isinstance(each, Renamed)] == [["--samples"]]
    for option in ("--samples", "--input"):
        assert str(command.make_context(name, ["out", option, "x.npz"]).params["samples_file"]) == "x.npz"
    complete = ShellComplete(main, {}, "tinycompile", "_TINYCOMPILE_COMPLETE")
    assert {each.value for each in complete.get_completions([name], "--in")} == set()


@pytest.mark.parametrize("name", ["new", "build"])
def test_a_board_may_be_called_one(name: str) -> None:
    result = CliRunner().invoke(main, [name, "nix", "--board", "no-such-board"])
    assert result.exit_code == 2 and "unknown target 'no-such-board'" in result.output, result.output
    assert "--board " not in help_of(name, 80)


def test_a_missing_option_is_named_as_it_is_now() -> None:
    result = CliRunner().invoke(main, ["run", "out"], env={"COLUMNS": "40"})
    assert result.exit_code == 2 and "--samples" in result.output and "--input" not in result.output


def test_lines_are_aligned_behind_their_labels() -> None:
    line = "flash         weights 12,312, code 10,860"
    assert wrapped(line, 80) == line
    assert wrapped(line, 30) == "flash         weights 12,312,\n              code 10,860"
    assert wrapped("  a name of three words, and more", 20) == "  a name of three\n    words, and more"
    assert wrapped("one\n\nsome/path/that/is/long.tflite: no", 12) == "one\n\nsome/path/that/is/long.tflite:\n  no"


def test_help_of_a_command_that_has_few_options_is_one_list() -> None:
    assert len(options(profile)) <= UNGROUPED
    assert "\nOptions:\n" in help_of("profile", 80)
