"""What is said of operators and types is what importing and running them gives."""

from __future__ import annotations

from tests.frontend.support_table import measured
from tinycompile.frontend.tflite_ops import IMPORTERS
from tinycompile.frontend.tflite_support import SUPPORT


def test_the_table_is_what_is_measured() -> None:
    assert dict(measured()) == SUPPORT, "run `python -m tests.frontend.support_table`"


def test_every_operator_is_compiled_with_some_type() -> None:
    assert SUPPORT.keys() == IMPORTERS.keys()
    assert all(support.oracles for support in SUPPORT.values())
