"""`tinycompile new`: a whole application, that is its user's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support.full import also
from tests.support.pages import environment
from tinycompile.application import FILES, all_apps, load_app, new_application
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.targets import load_board


@pytest.mark.parametrize("name", all_apps())
def test_it_is_written_once_and_never_overwritten(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "app"
    result = CliRunner().invoke(main, ["new", str(folder), "--app", name, "--board", "nrf52840"])
    assert result.exit_code == 0, result.output
    app, model = load_app(name), load_app(name).model
    assert {path.name for path in (folder / "firmware").iterdir()} == set(FILES)
    assert (folder / f"model{model.suffix}").read_bytes() == model.read_bytes()
    assert (folder / "labels.txt").read_text().split() == app.facts["labels"]
    for file in folder.rglob("*"):
        if file.suffix in (".c", ".h", ".md") or file.name == "Makefile":
            assert "{{" not in file.read_text() and "{%" not in file.read_text()
    (folder / "firmware" / "app.c").write_text("mine")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    again = CliRunner().invoke(main, ["new", str(folder), "--app", name])
    assert again.exit_code == 2 and "nothing is ever overwritten" in again.output
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
    assert [path.name for path in folder.parent.iterdir()] == ["app"]


def test_what_there_is_no_application_for(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["new", str(tmp_path / "app"), "--app", "toaster"])
    assert result.exit_code == 2 and "--app digits|kws" in result.output
    with pytest.raises(UsageError, match="microcontroller"):
        new_application(tmp_path / "app", load_app("kws"), load_board("host"))
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="can't be written"):
        new_application(tmp_path / "file" / "app", load_app("kws"), load_board("stm32f407"))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_options_values_are_the_applications() -> None:
    option = next(each for each in main.commands["new"].params if each.name == "app")
    assert str(option.make_metavar(main.make_context("new", [], resilient_parsing=True))) == "kws|digits"
    assert set("kws|digits".split("|")) == set(all_apps())


@pytest.mark.parametrize(
    ("name", "target"), also(("kws", "stm32f746"), ("digits", "mps2-an386"), ("digits", "qemu-riscv32"))
)
def test_it_runs_in_qemu(name: str, target: str, tmp_path: Path) -> None:
    folder, app = tmp_path / "app", load_app(name)
    new_application(folder, app, load_board(target))
    command = ["make", "run", f"TINYCOMPILE={sys.executable} -m tinycompile"]
    done = subprocess.run(command, cwd=folder, env=environment(tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first = ["sh", "-c", '"$@" | head -n 1', "run", *command]  # whose reader goes away; QEMU's UART waits for it
    early = subprocess.run(first, cwd=folder, env=environment(tmp_path), capture_output=True, check=True, timeout=60)
    assert early.stdout.decode() == done.stdout.split("\n", 2)[1] + "\n"
    verb, quiet = app.facts["verb"], app.facts["quiet"]
    said = [line.removeprefix(f"{verb}: ") for line in done.stdout.splitlines() if line.startswith(f"{verb}: ")]
    expected = [label for label in app.samples[1][:8] if label not in quiet]
    assert done.stdout.rstrip().endswith("end")
    assert set(said) <= set(expected) and len(said) >= len(expected) - 2
    assert (
        subprocess.run([*command[:1], *command[2:]], cwd=folder, env=environment(tmp_path), check=False).returncode == 0
    )
    assert (folder / "build" / "app_samples.bin").stat().st_size
    source = folder / "firmware" / "source_samples.c"
    source.with_name("source_board.c").write_text(source.read_text())
    here = [command[0], *command[2:]]
    for goal in ("SOURCE=board", "all"):  # one source's firmware isn't taken for the other's, whichever came last
        subprocess.run([*here, goal], cwd=folder, env=environment(tmp_path), capture_output=True, check=True)
    made = {path.stem: b"source_board.c" in path.read_bytes() for path in (folder / "build").glob("app_*.elf")}
    assert made == {"app_samples": False, "app_board": True}
    build = Build(folder / "build" / "model")  # whose firmware is still its own, which `make verify` runs
    samples = [array[:1] for array in build.samples(folder / "samples.npz")]
    assert len(build.execute(samples).outputs[0]) == 1
