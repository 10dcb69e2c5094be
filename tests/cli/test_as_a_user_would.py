"""What a user types first: the shipped example as it is, `-o .`, too little RAM, weights in external flash."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from tests.conftest import DIGITS, ROOT
from tests.support.onnx_builder import OnnxBuilder
from tinycompile.cli import main
from tinycompile.errors import SamplesError, UsageError
from tinycompile.frontend.onnx_file import read_proto, static_model
from tinycompile.model_source import Calibration, compiled_source
from tinycompile.quantize.calibration import SamplesNote, load_samples
from tinycompile.report.difference import remarks
from tinycompile.report.summary import duration

MODEL, FLOAT, CALIB = DIGITS / "digits_int8.tflite", DIGITS / "digits.onnx", DIGITS / "digits_calib.npz"


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert "Traceback" not in result.output
    return result


def test_the_shipped_calibration_file(tmp_path: Path) -> None:
    """It holds samples to calibrate with, and others with labels: more of these."""
    options = ("--calib-method", "minmax", "--target", "host")
    result = invoke("build", FLOAT, "--calib", CALIB, "--eval", CALIB, *options, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.output.count("input_0 of it is taken; x, y are no inputs") == 1  # however often the file is read
    assert re.search(r"top-1: float 9\d", result.output)


def test_messages_name_the_model_and_not_what_was_made_of_it(tmp_path: Path) -> None:
    """Which is in a temporary folder, and gone when the message is read."""
    b = OnnxBuilder()
    b.output(b.node("Relu", b.input((1, 4), name="x")))
    model = tmp_path / "net.onnx"
    onnx.save(b.model(), str(model))
    np.savez(tmp_path / "x.npz", x=np.ones((4, 4), np.float32))
    source = compiled_source(model, Calibration(samples=tmp_path / "x.npz", method="minmax"), {})
    with pytest.raises(UsageError) as error, source as (made, _):
        raise UsageError("wrong", where=f"{made}: Relu")
    assert str(error.value) == f"{model}: Relu: wrong"


def test_other_arrays_are_left_out_and_named(tmp_path: Path) -> None:
    model = static_model(read_proto(FLOAT), "digits")
    x = np.zeros((5, 8, 8, 1), np.float32)
    np.savez(tmp_path / "c.npz", x=x, y=np.zeros(3), names=np.array(["a", "b"]))
    with pytest.warns(SamplesNote, match="y, names are no inputs"):
        samples, labels = load_samples(tmp_path / "c.npz", model)
    assert len(samples) == 5 and labels is None
    with pytest.raises(SamplesError, match="3 labels for 5 samples"):
        load_samples(tmp_path / "c.npz", model, labelled=True)
    np.savez(tmp_path / "c.npz", input_0=x[:2], x=x, y=np.arange(5))
    with pytest.warns(SamplesNote, match="x of it is taken; input_0"):
        samples, labels = load_samples(tmp_path / "c.npz", model, labelled=True)
    assert len(samples) == 5 and labels is not None
    np.savez(tmp_path / "c.npz", x=x, y=np.arange(5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_samples(tmp_path / "c.npz", model, labelled=True)


@pytest.mark.parametrize("where", [".", "..", "./"])
def test_the_current_folder_as_output(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    result = invoke("build", MODEL, "--target", "host", "-o", where)
    assert result.exit_code == 2
    assert "Errno" not in result.output and "try: give -o a folder inside the current one" in result.output
    assert not list(tmp_path.glob("*/*"))


def test_folders_of_a_single_file_are_made(tmp_path: Path) -> None:
    """As `build -o` makes them; only if there is something to put into them."""
    np.savez(tmp_path / "x.npz", input_0=np.zeros((2, 8, 8, 1), np.float32))
    common = ("calib", tmp_path / "x.npz", "-o", tmp_path / "new" / "folder" / "calib.npz", "--model")
    assert invoke(*common, MODEL.parent / "nowhere.onnx").exit_code == 2
    assert not (tmp_path / "new").exists()
    result = invoke(*common, FLOAT)
    assert result.exit_code == 0, result.output
    assert [path.name for path in (tmp_path / "new" / "folder").iterdir()] == ["calib.npz"]
    (tmp_path / "file").write_text("")
    result = invoke("calib", tmp_path / "x.npz", "-o", tmp_path / "file" / "calib.npz", "--model", FLOAT)
    assert result.exit_code == 2 and "Errno" not in result.output and "not a directory" in result.output


def test_one_truth_on_how_much_ram_is_needed(tmp_path: Path) -> None:
    """The first sentence and the hint say the same, and it is so."""
    common = ("build", MODEL, "--no-pareto", "--quiet", "-o", tmp_path / "out")
    result = invoke(*common, "--ram", 200)
    assert result.exit_code == 2
    (needed,) = re.findall(r"at least ([\d,]+) bytes", result.output)
    assert needed == min(re.findall(r"from ([\d,]+) by", result.output), key=lambda n: int(n.replace(",", "")))
    least = int(needed.replace(",", ""))
    assert invoke(*common, "--ram", least).exit_code == 0
    again = invoke(*common, "--ram", least - 1)
    assert again.exit_code == 2 and f"at least {needed} bytes" in again.output


@pytest.fixture(scope="module")
def small_flash(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The STM32F746 with so little flash that weights have to be in QSPI."""
    boards = tmp_path_factory.mktemp("boards")
    shutil.copytree(ROOT / "board_support" / "stm32f746", boards / "little")
    toml = boards / "little" / "board.toml"
    text = re.sub(r"(\[memory\.flash\][^\[]*?bytes = )\S+", r"\g<1>0x8000", toml.read_text(), count=1)
    toml.write_text(re.sub(r"\[weights\]\n.*?\n\n", "", text, flags=re.DOTALL))
    return boards


def test_what_is_in_external_memory_and_that_it_takes_time(small_flash: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("build", MODEL, "--target", "little", "--board-path", small_flash, "-o", out, "--no-pareto")
    assert result.exit_code == 0, result.output
    report = json.loads((out / "report.json").read_text())
    held = {memory["name"]: memory["holds"] for memory in report["memories"]}
    assert held["qspi"]["weights"] > 0
    assert f"qspi (external): weights {held['qspi']['weights']:,}" in result.output
    assert sum(layer["weights_in"].get("qspi", 0) for layer in report["layers"]) >= held["qspi"]["weights"]
    time = duration(report)
    assert time is not None and time.low < time.high and not time.modelled and not time.simulated
    assert report["time"]["waiting"]["external"]["high"] > 320  # at least a command of the serial flash
    assert re.search(r"time +about [\d.,]+ to [\d.,]+ ms", result.output)
    assert "cycles of waiting for memories, estimated" in result.output
    assert "assumed: at best what is read ahead" in result.output
    page = (out / "report.html").read_text()
    assert "qspi (external)" in page and time.text() in page and "assumed: nothing else uses the caches" in page


def test_time_is_a_range_until_a_profile_has_modelled_the_core(tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke("build", MODEL, "--target", "mps2-an386", "-o", out, "--no-pareto")
    assert "external" not in result.output and re.search(r"time +about [\d.,]+ to [\d.,]+ ms", result.output)
    assert "by the usual cycles per instruction" in result.output and "no waiting for memories" in result.output
    invoke("profile", out)
    report = json.loads((out / "report.json").read_text())
    time = duration(report)
    assert time is not None and time.low == time.high and time.modelled
    assert time.core["low"] == report["profile"]["cycles"]["cortex-m4"]


@pytest.mark.parametrize(
    ("model", "options"),
    [
        (MODEL, ("--dtype", "float32")),
        (MODEL, ("--calib", CALIB)),
        (MODEL, ("--calib-method", "mse")),
        (FLOAT, ("--calib-method", "mse", "--dtype", "float32")),
        (FLOAT, ("--eval", CALIB, "--dtype", "float32")),
        (FLOAT, ("--signature", "serving_default", "--dtype", "float32")),
        (MODEL, ("--updatable",)),
    ],
)
def test_an_option_that_could_do_nothing_is_refused(model: Path, options: tuple[object, ...]) -> None:
    result = invoke("plan", model, *options)
    assert result.exit_code == 2 and str(options[0]) in result.output, result.output


def test_commands_in_messages_can_be_pasted(tmp_path: Path) -> None:
    """Paths with spaces and quotes, in other folders than the current one."""
    folder = tmp_path / "my models"
    folder.mkdir()
    path = folder / "anna's net.onnx"
    shutil.copy(FLOAT, path)
    shutil.copy(MODEL, folder / "anna's.tflite")
    for command in (("plan", path), ("run", path, "--input", CALIB), ("verify", folder, "--samples", CALIB)):
        commands = re.findall(r"`(tinycompile (?:build|calib) .*?)`", invoke(*command).output)
        assert commands, command
        for text in commands:
            words = shlex.split(text)
            named = words[2] if words[1] == "build" else words[words.index("--model") + 1]
            assert Path(named).parent == folder and Path(named).exists(), text


def test_arrays_are_no_model() -> None:
    result = invoke("inspect", CALIB)
    assert result.exit_code == 2 and "NumPy arrays" in result.output and "--calib" in result.output


@pytest.mark.parametrize("command", [("build", MODEL, "--labels"), ("run", MODEL.parent, "--input"), ("inspect",)])
def test_a_missing_file_is_named_in_words(command: tuple[object, ...], tmp_path: Path) -> None:
    result = invoke(*command, tmp_path / "nowhere.txt")
    assert result.exit_code == 2 and "Errno" not in result.output, result.output


def test_options_that_were_not_given_are_told_in_words() -> None:
    report: dict[str, object] = {
        "source": {"sha256": ""},
        "layers": [],
        "options": {"ram": None, "labels": [], "x": False},
    }
    other = report | {"options": {"ram": 65536, "labels": ["a.txt"], "x": True}}
    assert sorted(remarks(report, other)) == [
        "--labels: not given -> ['a.txt']",
        "--ram: not given -> 65,536",
        "--x: no -> yes",
    ]


def test_a_build_for_the_host_promises_no_counting(tmp_path: Path) -> None:
    """`run` and `profile` count instructions in QEMU, which has no part in it."""
    result = invoke("build", MODEL, "--target", "host", "-o", tmp_path / "out")
    assert result.exit_code == 0 and "(estimate)" in result.output and "counts them" not in result.output
    assert "</code> counts them" not in (tmp_path / "out" / "report.html").read_text()
    assert not {"run", "profile"} & json.loads((tmp_path / "out" / "report.json").read_text()).keys()
    invoke("run", tmp_path / "out", "--input", DIGITS / "digits_samples.npz", "--limit", 1)
    assert "run" not in json.loads((tmp_path / "out" / "report.json").read_text())


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("stm32f764", "did you mean stm32f746?"),
        ("STM32F746ZG", "did you mean stm32f746?"),
        ("stm32h7", "did you mean stm32h743 or stm32h747?"),
        ("Cortex-M33", "boards with this core: mps2-an505, mps2-an521, nrf5340, nucleo-u575zi, rp2350;"),
    ],
)
def test_a_target_is_guessed(name: str, meant: str) -> None:
    assert meant in invoke("plan", MODEL, "--target", name).output
    assert "did you mean" not in invoke("plan", MODEL, "--target", "xyz").output
