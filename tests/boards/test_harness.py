"""`build --harness mlperf-tiny`: the firmware answers a runner of that benchmark."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import tinycompile
from tests.conftest import DIGITS, SHARED
from tests.support.full import FULL
from tests.support.mlperf_runner import Runner, runner_on
from tests.support.serial_board import Machine, emulated, launched
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.ir import Array, TensorType
from tinycompile.toolchain import make

MODELS = {"ad01": "ad01_int8", "ic01": "ic_resnet8_int8", "kws01": "kws_ref_model", "vww01": "vww_96_int8"}


def real(t: TensorType, array: Array) -> Array:
    """The numbers behind integers, as float32."""
    assert t.quant is not None
    return (array.ravel().astype(np.float32) - t.quant.zero_point.astype(np.float32)) * t.quant.scale


def as_printed(values: Array) -> list[str]:
    return [f"{value:.3f}" for value in values]


@pytest.fixture(scope="module")
def session(talking_build: Build) -> Iterator[tuple[Machine, Runner]]:
    elf = talking_build.folder / "firmware_harness.elf"
    with launched(elf, talking_build.board) as machine, runner_on(machine.port) as found:
        yield machine, found


@pytest.fixture
def runner(session: tuple[Machine, Runner]) -> Iterator[Runner]:
    machine, found = session
    with machine.awake():
        yield found


def test_a_session(talking_build: Build, runner: Runner) -> None:
    assert runner.command("name") == ["m-name-dut-[tinycompile]"]
    assert runner.command("profile") == ["m-profile-[ULPMark for tinyML Firmware V0.0.1]", "m-model-[digits_int8]"]
    data = np.load(DIGITS / "digits_samples.npz")
    times = list[int]()
    for i in range(2):
        runner.load(data["input_0"][i].tobytes())
        found = runner.infer(3, 1)
        assert found.results == as_printed(real(talking_build.outputs[0], data["output_0"][i]))
        assert [f"m-results-[{','.join(found.results)}]"] == runner.command("results")
        first, second = found.laps
        times.append(second - first)
    assert times[0] == pytest.approx(times[1], rel=0.01)
    more = runner.infer(6, 0)
    assert more.results == found.results  # the input is the same for each inference
    assert more.laps[1] - more.laps[0] == pytest.approx(2 * times[0], rel=0.02)
    before = int(runner.command("timestamp")[0].removeprefix("m-lap-us-"))
    assert int(runner.command("timestamp")[0].removeprefix("m-lap-us-")) > before > times[0]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("db", r"e-\[Command 'db' requires a subcommand\]"),
        ("db load 0", r"e-\[db load takes 1 to 64 bytes\]"),
        ("db load 65", r"e-\[db load takes .*"),
        ("db load 99999999999", r"e-\[db load takes .*"),
        ("db print 9 60", r"e-\[db print is outside .*"),
        ("infer 0", r"e-\[infer takes .*"),
        ("infer 1 x", r"e-\[infer takes .*"),
        ("nothing", r"e-\[Unknown command: nothing\]"),
        ("x" * 300, r"e-\[Unknown command: x{80}\]"),
        ("", r"e-\[Unknown command: \]"),
    ],
)
def test_what_it_refuses(runner: Runner, command: str, answer: str) -> None:
    (line,) = runner.command(command)
    assert re.fullmatch(answer, line), line


def test_what_is_loaded_can_be_printed(runner: Runner) -> None:
    assert runner.command("db load 11") == ["m-[Expecting 11 bytes]"]
    assert runner.command("db 0001027") == ["e-[Insufficient number of hex digits]"]
    assert runner.command("db 00010203zz") == ["e-[Invalid hex digit]"]
    assert runner.command("db 04FF") == []
    assert runner.command("db 060708090a0b0c") == ["m-load-done"]
    assert runner.command("db print") == ["m-buffer-00-01-02-03-04-ff-06-07", "m-buffer-08-09-0a"]
    assert runner.command("db print 3 4") == ["m-buffer-04-ff-06"]
    assert runner.command("infer 1 0") == ["e-[The input has 11 bytes, expected 64]"]


def test_energy_is_measured_by_the_pin_of_a_file_of_the_users(talking_build: Build, tmp_path: Path) -> None:
    """Edges instead of times; the functions are called in the order that an analyser wants."""
    (tmp_path / "pins.c").write_text(
        '#include "console.h"\nvoid th_pin_low(void);\nvoid th_pin_high(void);\nvoid th_pre(void);\n'
        'void th_pin_low(void) { console_text("low\\n"); }\nvoid th_pin_high(void) { console_text("high\\n"); }\n'
        'void th_pre(void) { console_text("pre\\n"); }\n'
    )
    elf = talking_build.folder / "firmware_energy.elf"
    elf.unlink()
    make(talking_build.folder, "firmware_energy.elf", f"HARNESS_SOURCES={tmp_path / 'pins.c'}")
    with emulated(elf, talking_build.board) as port, runner_on(port, 9600) as runner:
        assert runner.command("timestamp") == ["low", "high"]
        runner.load(bytes(64))
        said = runner.command("infer 1 0")
    assert said[2:7] == ["m-infer-start-1", "low", "high", "pre", "low"] and not any("lap" in line for line in said)


def test_what_has_no_harness(tmp_path: Path) -> None:
    model = str(DIGITS / "digits_int8.tflite")
    for arguments in (["--target", "host"], [model], ["--input-stream", "rows"]):
        command = ["build", model, *arguments, "--harness", "mlperf-tiny", "-o", str(tmp_path / "out")]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2 and "--harness is for" in result.output, result.output
        assert not (tmp_path / "out").exists()


@pytest.mark.skipif(not FULL, reason="four more builds: test-full")
@pytest.mark.parametrize(
    ("board", "cores"), [("mps2-an505", 1), ("netduinoplus2", 1), ("qemu-riscv32", 1), ("mps2-an521", 2)]
)
def test_boards_of_other_families(board: str, cores: int, tmp_path: Path) -> None:
    model, options = DIGITS / "digits_int8.tflite", {"harness": "mlperf-tiny", "cores": cores}
    build = tinycompile.compile(model, board, output=tmp_path / "out", **options)  # pyright: ignore[reportArgumentType]
    data = np.load(DIGITS / "digits_samples.npz")
    with emulated(build.folder / "firmware_harness.elf", build.board) as port, runner_on(port) as runner:
        runner.load(data["input_0"][0].tobytes())
        assert runner.infer(1, 0).results == as_printed(real(build.outputs[0], data["output_0"][0]))


@pytest.mark.skipif(not FULL, reason="four large builds: test-full")
@pytest.mark.parametrize("benchmark", MODELS)
def test_the_four_models(benchmark: str, tmp_path: Path) -> None:
    """The runner's inputs, in its form: results are those of the reference on the golden samples."""
    model = SHARED / "models" / f"{MODELS[benchmark]}.tflite"
    if not model.exists():
        pytest.skip("needs ../shared")
    build = tinycompile.compile(model, "mps2-an386", output=tmp_path / "out", harness="mlperf-tiny")
    golden = np.load(SHARED / "golden" / f"{MODELS[benchmark]}.npz")
    with emulated(build.folder / "firmware_harness.elf", build.board) as port, runner_on(port) as runner:
        assert runner.command("profile")[1] == f"m-model-[{benchmark}]"
        for i in range(2):
            given = golden["input_0"][i].astype(np.int8)
            data, results = given.tobytes(), real(build.outputs[0], golden["output_0"][i])
            if benchmark in ("ic01", "vww01"):
                data = (given.view(np.uint8) ^ 0x80).tobytes()
            if benchmark == "ad01":
                floats = real(build.inputs[0], given)
                assert build.inputs[0].quant is not None
                step = np.random.default_rng(i).uniform(-0.4, 0.4, floats.shape).astype(np.float32)
                floats += step * build.inputs[0].quant.scale  # which rounds to the same integers
                data, results = floats.tobytes(), np.array([np.mean((results.astype(np.float64) - floats) ** 2)])
            runner.load(data)
            found = runner.infer(1, 1)
            assert found.results == as_printed(results)
            assert found.laps[1] > found.laps[0]
