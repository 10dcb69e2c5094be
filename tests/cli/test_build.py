"""What `build` prints, and to whom."""

from __future__ import annotations

import itertools
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.conftest import DIGITS
from tinycompile import pipeline
from tinycompile.cli import main
from tinycompile.options import Options

MODEL = DIGITS / "digits_int8.tflite"
ESCAPE = re.compile(r"\x1b")


def build(folder: Path, *options: str) -> Result:
    result = CliRunner().invoke(main, ["build", str(MODEL), "-o", str(folder / "out"), *options])
    assert result.exit_code == 0, result.output
    return result


def on_a_terminal(folder: Path, **environment: str) -> str:
    """What a terminal of 100 columns is sent."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tinycompile", "build", str(MODEL), "-o", str(folder / "out")]
    env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    env |= {"TERM": "xterm-256color", "COLUMNS": "100", **environment}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        data = b""
        try:
            while chunk := os.read(ours, 65536):
                data += chunk
        except OSError:  # the other end is closed
            pass
        os.close(ours)
    assert process.returncode == 0
    return data.decode()


def test_a_limit_on_flash(tmp_path: Path) -> None:
    """The whole firmware's: smaller kernels are taken until it fits; where none do, nothing is left."""
    report = json.loads(build(tmp_path, "--optimize", "speed", "--json").output)
    fast = report["flash"]["total_bytes"]
    limit = fast - 300
    small = json.loads(build(tmp_path, "--optimize", "speed", "--flash", str(limit), "--json").output)
    assert small["flash"]["total_bytes"] <= limit
    assert small["options"]["flash"] == limit
    arguments = ["build", str(MODEL), "-o", str(tmp_path / "none"), "--flash", "5K"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2
    assert "--flash allows 5,120" in result.output
    assert "try: --compress-weights" in result.output  # --optimize size was tried
    assert not (tmp_path / "none").exists()


def test_what_less_flash_does_not_make_small_enough_is_built_for_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """How functions are compiled included; with a stand-in for the build, which only fits then."""
    seen = list[tuple[str, int, bool]]()

    def build(board, layout, lowered, options, *_) -> list[str]:
        seen.append((options.optimize, options.flash_spare, board.core.compact))
        if options.optimize != "size":
            raise pipeline.FirmwareTooLargeError(40_100, 40_000, options)
        return ["built"]

    monkeypatch.setattr(pipeline, "_build", build)
    assert pipeline.compile_together([MODEL], Options(flash=40_000)) == ["built"]
    assert seen == [("balanced", spare, False) for spare in (0, 100, 200)] + [("size", 0, True)]


def test_less_than_a_screen_with_what_matters(tmp_path: Path) -> None:
    result = build(tmp_path)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    lines = result.output.splitlines()
    assert len(lines) <= 24
    assert all(len(line) <= 100 for line in lines[:-1])  # the last one names a folder
    text = result.output
    for part in ("fits", "estimate", "heaviest layers", "eliminated", "█", str(tmp_path / "out" / "report.html")):
        assert part in text
    for number in (
        report["ram"]["total_bytes"],
        report["ram"]["limit_bytes"],
        report["flash"]["total_bytes"],
        sum(layer["instructions_estimate"] for layer in report["layers"]),
        *sorted(layer["instructions_estimate"] for layer in report["layers"])[-3:],
    ):
        assert f"{number:,}" in text
    assert not ESCAPE.search(text)


def test_small_models_get_the_front_of_ram_against_work(tmp_path: Path) -> None:
    build(tmp_path, "--quiet")
    points = json.loads((tmp_path / "out" / "report.json").read_text())["pareto"]
    assert len(points) > 2
    for more, less in itertools.pairwise(points):
        assert more["arena_bytes"] > less["arena_bytes"]
        assert more["instructions_estimate"] < less["instructions_estimate"]
    build(tmp_path, "--no-pareto", "--quiet")
    assert json.loads((tmp_path / "out" / "report.json").read_text())["pareto"] is None


def test_quiet_prints_nothing(tmp_path: Path) -> None:
    assert build(tmp_path, "--quiet").output == ""


def test_json_is_the_report(tmp_path: Path) -> None:
    assert json.loads(build(tmp_path, "--json").stdout) == json.loads((tmp_path / "out" / "report.json").read_text())


def test_verbose_lists_every_layer_and_no_number_is_cut(tmp_path: Path) -> None:
    text = build(tmp_path, "--verbose").output
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    for layer in report["layers"]:
        assert f"{layer['instructions_estimate']:,}" in text


def test_they_exclude_each_other(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["build", str(MODEL), "-o", str(tmp_path / "out"), "--quiet", "--json"])
    assert result.exit_code == 2
    assert "exclude" in result.output


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_sees_progress_and_colours_unless_it_wants_none(tmp_path: Path, no_color: bool) -> None:
    text = on_a_terminal(tmp_path, **({"NO_COLOR": "1"} if no_color else {}))
    assert "compiling" in text
    assert ("\x1b[32m" in text) == (not no_color)


def test_a_terminal_without_utf8_gets_ascii(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tinycompile", "build", str(MODEL), "-o", str(tmp_path / "out")]
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, env=env, check=True)
    assert b"#---" in done.stdout


def test_exit_codes_are_documented() -> None:
    assert "Exit codes" in CliRunner().invoke(main, ["--help"]).output


def test_commands_are_listed_in_the_order_of_use_and_in_whole_sentences() -> None:
    shown = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    listed = re.findall(r"^  ([\w-]+) +(.*)$", shown.partition("Models:")[2].partition("Options:")[0], re.MULTILINE)
    assert [name for name, _ in listed] == list(main.commands)
    assert listed[0][0] == "inspect"
    assert [text for _, text in listed if not text.endswith(".") or text.endswith("...")] == []
