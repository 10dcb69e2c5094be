"""What the user put into an output folder, or changed there, survives every build."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import tinycompile
from tests.conftest import DIGITS, ROOT
from tinycompile.cli import main
from tinycompile.errors import UsageError
from tinycompile.manifest import MANIFEST, Manifest, entries
from tinycompile.staging import staged

MODEL = DIGITS / "digits_int8.tflite"
FILES = {"model.c": "int f(void);", "Makefile": "all:", "firmware/main.c": "int main(void);", "report.json": "{}"}


def made(output: Path, *, force: bool = False, **changed: str | None) -> None:
    """A build of some files; `changed` has other contents, or None for a file that this build doesn't have."""
    with staged(output, force=force) as folder:
        for name, text in FILES.items():
            new = changed.get(Path(name).stem, text)
            if new is not None:
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_text(new)


def content(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in entries(folder)}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    made(tmp_path / "work" / "out")
    return tmp_path / "work" / "out"


def refused(output: Path, *named: str, force: bool = False, **changed: str) -> str:
    """The message; nothing has changed, and nothing lies beside the folder."""
    before, beside = content(output), sorted(output.parent.iterdir())
    with pytest.raises(UsageError) as caught:
        made(output, force=force, **changed)
    assert content(output) == before and sorted(output.parent.iterdir()) == beside
    for name in named:
        assert name in str(caught.value)
    return str(caught.value)


def test_unchanged_files_are_replaced_and_gone_ones_go(out: Path) -> None:
    made(out, model="int g(void);", main=None)
    assert content(out).keys() == {"model.c", "Makefile", "report.json", MANIFEST}
    assert (out / "model.c").read_text() == "int g(void);"


def test_files_of_the_user_stay(out: Path) -> None:
    (out / "app").mkdir()
    (out / "app" / "app.c").write_text("mine")
    (out / "firmware" / "sensor.c").write_text("mine, too")
    (out / "empty").mkdir()
    (out / "link").symlink_to("app")
    (out / "dangling").symlink_to("nowhere")
    (out / "app" / "run.sh").touch(mode=0o750)
    (out / "app").chmod(0o700)
    for _ in range(2):
        made(out, model="int g(void);", main=None)
    assert (out / "app" / "app.c").read_text() == "mine" and (out / "firmware" / "sensor.c").read_text() == "mine, too"
    assert str((out / "link").readlink()) == "app" and str((out / "dangling").readlink()) == "nowhere"
    assert (out / "empty").is_dir() and (out / "model.c").read_text() == "int g(void);"
    assert stat.S_IMODE((out / "app").stat().st_mode) == 0o700
    assert stat.S_IMODE((out / "app" / "run.sh").stat().st_mode) == 0o750
    assert not (out / "firmware" / "main.c").exists()
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_files_of_the_user_stay_where_the_file_system_has_no_links(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    (out / "app.c").write_text("mine")
    (out / "link").symlink_to("app.c")
    made(out)
    assert (out / "app.c").read_text() == "mine" and str((out / "link").readlink()) == "app.c"


def test_edited_files_need_force(out: Path) -> None:
    (out / "firmware" / "main.c").write_text("edited")
    (out / "app.c").write_text("mine")
    message = refused(out, "firmware/main.c", "--force")
    assert "app.c" not in message and "Makefile" not in message
    made(out, force=True)
    assert (out / "firmware" / "main.c").read_text() == FILES["firmware/main.c"]
    assert (out / "app.c").read_text() == "mine"
    made(out)


def test_an_edited_file_that_the_build_no_longer_has_becomes_the_users(out: Path) -> None:
    (out / "firmware" / "main.c").write_text("edited")
    made(out, force=True, main=None)
    assert (out / "firmware" / "main.c").read_text() == "edited"
    made(out, force=True, main=None)
    assert (out / "firmware" / "main.c").read_text() == "edited"
    refused(out, "firmware/main.c", force=True)


def test_a_file_of_the_user_is_never_overwritten(out: Path) -> None:
    made(out, main=None)
    (out / "firmware").mkdir()
    (out / "firmware" / "main.c").write_text("mine")
    assert "files of yours" in refused(out, "firmware/main.c")
    refused(out, "firmware/main.c", force=True)
    shutil.rmtree(out / "firmware")
    (out / "firmware").write_text("a file where a folder is to be")
    refused(out, "firmware", force=True)


def test_a_folder_where_a_file_is_to_be(out: Path) -> None:
    (out / "model.c").unlink()
    (out / "model.c").mkdir()
    (out / "model.c" / "notes").write_text("mine")
    refused(out, "model.c/notes", force=True)


def test_a_file_that_became_a_link_was_edited(out: Path) -> None:
    (out.parent / "elsewhere").write_text(FILES["model.c"])
    (out / "model.c").unlink()
    (out / "model.c").symlink_to("../elsewhere")
    refused(out, "model.c")
    made(out, force=True)
    assert not (out / "model.c").is_symlink() and (out.parent / "elsewhere").exists()


def test_deleted_files_come_back(out: Path) -> None:
    (out / "firmware" / "main.c").unlink()
    made(out)
    assert (out / "firmware" / "main.c").exists()


def test_a_folder_that_no_build_made(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    made(out)  # an empty folder is as good as none
    assert (out / MANIFEST).exists()
    (out / MANIFEST).unlink()
    for name in [*FILES, "app.c"]:
        (out / name).write_text("mine")
    message = refused(out, *FILES, "app.c", MANIFEST)
    assert "no tinycompile build made" in message
    refused(out, *FILES, force=True)
    for name in FILES:
        (out / name).unlink()
    made(out, force=True)
    assert (out / "app.c").read_text() == "mine"


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 3, "products": []}', "\x00"])
def test_a_manifest_that_cant_be_read_protects_everything(out: Path, text: str) -> None:
    (out / MANIFEST).write_text(text)
    refused(out, "model.c")


def test_interruptions_while_the_folders_change_places(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (out / "app.c").write_text("mine")
    before, rename = content(out), Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self != out and Path(target) == out and self.name != "previous":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        made(out, model="int g(void);")
    assert content(out) == before and [path.name for path in out.parent.iterdir()] == ["out"]


def test_links_and_strange_outputs(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = out.parent / "link"
    link.symlink_to("out")
    made(link, model="int g(void);")
    assert link.is_symlink() and (out / "model.c").read_text() == "int g(void);"
    with pytest.raises(UsageError, match="a file, not a folder"):
        made(out / "model.c")
    (out / "app").mkdir()
    for current, output in ((out, "."), (out / "app", ".."), (out, str(out))):
        monkeypatch.chdir(current)
        with pytest.raises(UsageError, match="is the current folder, or around it"):
            made(Path(output))


def test_manifests_are_the_same_everywhere(out: Path, tmp_path: Path) -> None:
    made(tmp_path / "again")
    text = (out / MANIFEST).read_text()
    assert (tmp_path / "again" / MANIFEST).read_text() == text
    assert str(tmp_path) not in text and "report.json" not in text


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


def test_a_real_build_with_everything_that_commands_and_make_leave(tmp_path: Path) -> None:
    """The model lies in the output folder; nothing that our own commands write counts as a change."""
    out = tmp_path / "out"
    tinycompile.compile(MODEL, target="mps2-an386", output=out)
    model = Path(shutil.copy(MODEL, out / "mine.tflite"))
    samples = DIGITS / "digits_samples.npz"
    assert cli("run", out, "--input", samples, "--limit", "1").exit_code == 0
    assert cli("verify", out, "--samples", samples, "--limit", "1").exit_code == 0
    subprocess.run(["make", "console", "trace", "firmware.hex"], cwd=out, check=True, capture_output=True)
    (out / "notes.txt").write_text("mine")
    strangers = {path for path in entries(out) if not (Manifest.read(out) or Manifest()).owns(path)}
    assert strangers == {"mine.tflite", "notes.txt"}
    assert cli("build", MODEL, "--target", "mps2-an386", "-o", out).exit_code == 0
    assert model.read_bytes() == MODEL.read_bytes() and (out / "notes.txt").read_text() == "mine"
    assert not (out / "firmware_console.elf").exists() and not (out / "certificate.json").exists()
    (out / "firmware" / "main.c").open("a").write("/* edited */\n")
    result = cli("build", MODEL, "--target", "mps2-an386", "-o", out)
    assert result.exit_code == 2 and "firmware/main.c" in result.output and "--force" in result.output
    assert cli("build", MODEL, "--target", "mps2-an386", "-o", out, "--force").exit_code == 0
    assert "edited" not in (out / "firmware" / "main.c").read_text() and (out / "notes.txt").exists()


def test_single_files_are_overwritten_only_if_they_are_ours(tmp_path: Path) -> None:
    out, samples = tmp_path / "host", DIGITS / "digits_samples.npz"
    tinycompile.compile(MODEL, target="host", output=out)
    target = tmp_path / "y.npz"
    run = ("run", out, "--input", samples, "--limit", "2", "--output")
    for _ in range(2):
        result = cli(*run, target)
        assert result.exit_code == 0, result.output
    with np.load(target) as file:
        assert file["output_0"].shape == (2, 10)
    np.savez(target, output_0=np.zeros(3))  # the user's own
    result = cli(*run, target)
    assert result.exit_code == 2 and "y.npz" in result.output and "--force" in result.output
    with np.load(target) as file:
        assert file["output_0"].shape == (3,)
    assert cli(*run, target, "--force").exit_code == 0
    mine = Path(shutil.copy(samples, tmp_path / "mine.npz"))
    result = cli("run", out, "--input", mine, "--output", mine, "--force")
    assert result.exit_code == 2 and "reads" in result.output and mine.read_bytes() == samples.read_bytes()


def test_quantize_keeps_the_users_models(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    onnx, npz = DIGITS.parent.parent / "tests/data/pytorch_cnn/pytorch_cnn.onnx", tmp_path / "calib.npz"
    with np.load(onnx.with_suffix(".npz")) as file:
        np.savez(npz, x=file["calib"][:4])
    float_model = Path(shutil.copy(onnx, tmp_path / "model.onnx"))
    command = [sys.executable, "-m", "tinycompile", "quantize", "model.onnx", "--calib", "calib.npz", "-o"]

    def quantize(*output: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run([*command, *output], cwd=tmp_path, env=environment, capture_output=True, text=True)

    done = quantize("model.onnx", "--force")
    assert done.returncode == 2 and "reads" in done.stderr and float_model.read_bytes() == onnx.read_bytes()
    mine = Path(shutil.copy(onnx, tmp_path / "mine.onnx"))
    done = quantize("mine.onnx")
    assert done.returncode == 2 and "--force" in done.stderr and mine.read_bytes() == onnx.read_bytes()
    for _ in range(2):
        done = quantize("new.onnx")
        assert done.returncode == 0, done.stderr
