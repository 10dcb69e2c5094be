"""Signals that end a command: what it began is cleaned up, and what runs beside it ends."""

from __future__ import annotations

import os
import signal

import click
import pytest
from click.testing import CliRunner

from tinycompile.cli._shared import explained


def ended_by(number: signal.Signals) -> tuple[int, list[str]]:
    """Exit code of a command that gets the signal, and what it still did."""
    done = list[str]()

    @click.command()
    @explained
    def command() -> None:
        try:
            os.kill(os.getpid(), number)
            done.append("went on")
        finally:
            done.append("cleaned up")

    return CliRunner().invoke(command, []).exit_code, done


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_they_are_as_ctrl_c(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)  # whatever the suite itself inherited
    try:
        assert ended_by(number) == (130, ["cleaned up"])
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_was_ignored_still_is(number: signal.Signals) -> None:
    """`nohup tinycompile ...`"""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        assert ended_by(number) == (0, ["went on", "cleaned up"])
    finally:
        signal.signal(number, before)
