"""Shell completion knows commands, choices and boards."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from tinycompile.cli import main


@pytest.mark.parametrize(
    ("words", "typed", "expected"),
    [
        ([], "bu", {"build"}),
        (["build"], "--sched", {"--schedule"}),
        (["build", "--optimize"], "s", {"speed", "size"}),
        (["inspect", "--target"], "stm32f7", {"stm32f746"}),
    ],
)
def test_what_may_follow(words: list[str], typed: str, expected: set[str]) -> None:
    complete = ShellComplete(main, {}, "tinycompile", "_TINYCOMPILE_COMPLETE")
    assert {item.value for item in complete.get_completions(words, typed)} == expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_TINYCOMPILE_COMPLETE" in result.stdout
