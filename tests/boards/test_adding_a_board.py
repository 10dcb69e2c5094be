"""docs/adding_a_board.md, followed literally: its files are written and its commands are run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.boards.test_every_board import Image, check
from tests.conftest import DIGITS, ROOT
from tinycompile.cli import main
from tinycompile.errors import TargetError
from tinycompile.targets import load_board

PAGE = (ROOT / "docs" / "adding_a_board.md").read_text()
BLOCKS = re.findall(r"^```(\w+) ?(\S*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's files and a model."""
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
    shutil.copy(DIGITS / "digits_int8.tflite", tmp_path / "model.tflite")
    shutil.copy(DIGITS / "digits_samples.npz", tmp_path / "samples.npz")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_works(workplace: Path) -> None:
    (commands,) = [text for language, _, text in BLOCKS if language == "sh"]
    output = ""
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "tinycompile"
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        output += result.output
    assert "made-up" in output and "instructions per inference" in output
    check(Image.of(workplace / "out" / "firmware.elf"), load_board("made-up", workplace / "boards"))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("clock_hz = 168_000_000\n", "", "no 'clock_hz'"),
        ('"board.c"', '"other.c"', "there is no source 'other.c'"),
        ("[core]", "[core", "wrong"),
        ('stand_in = "mps2-an386"', 'stand_in = "nothing"', "unknown target 'nothing'"),
    ],
)
def test_a_wrong_description_is_explained(workplace: Path, before: str, after: str, message: str) -> None:
    path = workplace / "boards" / "made-up" / "board.toml"
    path.write_text(path.read_text().replace(before, after))
    with pytest.raises(TargetError, match=re.escape(message)):
        load_board("made-up", workplace / "boards")


def test_a_board_path_that_is_no_folder_is_explained(workplace: Path) -> None:
    result = CliRunner().invoke(main, ["targets", "--board-path", "model.tflite"])
    assert result.exit_code == 2 and "not a folder" in result.output
