"""Whatever is printed or copied into firmware says that it may be shipped without conditions."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import DIGITS, ROOT
from tinycompile.codegen.emit import emit_project
from tinycompile.lowering import lower, project_of
from tinycompile.options import Options
from tinycompile.targets import all_boards, load_board

LINE = "SPDX-License-Identifier: 0BSD"
CODE = (".c", ".h", ".S", ".s", ".ld", ".txt", ".yml")


def is_code(name: str) -> bool:
    return Path(name).suffix in CODE or Path(name).name in ("Makefile", "Kconfig")


@pytest.mark.parametrize("target", ["stm32f746", "mps2-an386", "rp2040", "host"])
def test_every_printed_file_says_it(target: str) -> None:
    board = load_board(target, None)
    lowered, layout = lower([DIGITS / "digits_int8.tflite"], board, Options(target=target))
    files = emit_project(project_of(board, layout, lowered), single=True)
    assert {Path(name).suffix for name in files} >= {".c", ".h"}
    model = {"digits_int8.c", "digits_int8.h", "single/digits_int8.c", "single/digits_int8.h"}  # below
    assert not [name for name, text in files.items() if is_code(name) and LINE not in text[:300] and name not in model]
    if "library.json" in files:
        assert '"license": "0BSD"' in files["library.json"]


@pytest.mark.parametrize("template", ["model.c.j2", "model.h.j2"])
def test_the_model_itself(template: str) -> None:
    assert LINE in (ROOT / "templates" / "c" / template).read_text()


@pytest.mark.parametrize("folder", ["runtime", "board_support"])
def test_every_source_that_is_copied_says_it(folder: str) -> None:
    sources = [p for p in (ROOT / folder).rglob("*") if p.suffix in (".c", ".h", ".S", ".s", ".ld")]
    assert len(sources) > 20
    assert not [p for p in sources if LINE not in p.read_text().split("\n", 1)[0]]


def test_every_board_is_ours() -> None:
    """A new board's sources are covered by the test above."""
    assert all(board.folder.is_relative_to(ROOT / "board_support") for board in all_boards(None).values())


def test_the_licences_are_here() -> None:
    assert "Version 2.0, January 2004" in (ROOT / "LICENSE").read_text()
    assert "for any purpose with or without fee" in (ROOT / "LICENSES" / "0BSD.txt").read_text()
