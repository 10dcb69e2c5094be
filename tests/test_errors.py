"""Errors as values."""

from __future__ import annotations

import pickle

import pytest

from tinycompile.errors import DoesNotFitError, TinycompileError, UnsupportedError, UsageError


@pytest.mark.parametrize(
    "error",
    [
        UsageError("what", where="where", why="why", hint="hint"),
        UnsupportedError([("ADD", "why"), ("MUL", "why else")], where="m.tflite"),
        DoesNotFitError("too large"),
    ],
)
def test_errors_cross_processes(error: TinycompileError) -> None:
    """As those of workers do."""
    other = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.__dict__ == error.__dict__
