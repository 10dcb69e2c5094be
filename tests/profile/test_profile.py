"""`tinycompile profile`: exact counts against the board's timer and the trace build, layer by layer."""

from __future__ import annotations

import io
import json
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

import tinycompile
from tests.conftest import DIGITS, ROOT
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import ToolFailedError, ToolMissingError, UsageError
from tinycompile.profile import MODELS, pattern, profile_build
from tinycompile.profile.calibration import COMPARISONS, error_percent, left_out
from tinycompile.profile.layers import layer_lines
from tinycompile.report.profile import print_profile
from tinycompile.targets import load_board
from tinycompile.toolchain import make

pytest.importorskip("capstone", reason="profile needs Capstone")
MODEL = DIGITS / "digits_int8.tflite"
TICKS = 12
"""Instructions by which the timer may be off, that counts the call, too, in ticks of 1.25 instructions or more."""
TRACED = 64
"""The same for a layer of the trace build, which calls the trace."""


def check_sums(build: Build) -> None:
    """The parts of a profile against each other and against the timer."""
    found = json.loads((build.folder / "report.json").read_text())["profile"]
    parts = [*found["layers"], found["outside_layers"]]
    assert found["instructions"] == sum(part["instructions"] for part in parts)
    for core, cycles in found["cycles"].items():
        assert cycles == pytest.approx(sum(part["cycles"][core] for part in parts), abs=len(parts))
    assert all(sum(part["mix"].values()) == part["instructions"] for part in [found, *parts])
    assert (found["waiting"] is None) == build.board.memory_system.is_free
    if found["waiting"] is not None:
        for bound in ("low", "high"):
            total = found["waiting"]["total"][bound]
            assert total == pytest.approx(sum(p["waiting"]["total"][bound] for p in parts), abs=len(parts))
        assert found["waiting"]["fills"]["flash"]["code"] > 0
        weights = build.report["flash"]["weights_bytes"]
        cached = build.board.memory_system.cache(build.board.flash, "data")
        read = found["waiting"]["fills"]["flash"]["data" if cached else "reads"] * (cached.line if cached else 4)
        assert weights / 2 < read
    execution = build.execute([pattern(t) for t in build.inputs])
    assert abs(execution.instructions[0] - found["instructions"]) <= TICKS


@pytest.mark.parametrize(
    ("target", "cores"),
    [
        ("stm32f746", {"cortex-m4", "cortex-m7"}),
        ("nrf52840", {"cortex-m4", "cortex-m7"}),
        ("stm32f103", {"cortex-m3"}),
        ("microbit", {"cortex-m0"}),
        ("nrf5340", {"cortex-m33"}),
        ("stm32n6", {"cortex-m55", "cortex-m85"}),
    ],
)
def test_counts_are_those_of_the_timer(target: str, cores: set[str], tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, target=target, output=tmp_path / "out", schedule="layer")
    found = profile_build(build)
    assert set(found["cycles"]) == cores
    assert not found["note"]
    check_sums(build)
    assert found["mix"]["other"] < 0.02 * found["instructions"]  # all are decoded
    for layer, counted in zip(build.report["layers"], found["layers"], strict=True):
        assert abs(layer["instructions"] - counted["instructions"]) <= TRACED, layer["name"]


def test_layers_inside_a_stage_are_told_apart(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, output=tmp_path / "out", schedule="stream", optimize="ram")
    found = profile_build(build)
    check_sums(build)
    inside = [i for i, layer in enumerate(build.report["layers"]) if layer["stage"] is not None]
    assert len(inside) > 1
    for index in inside:
        layer, counted = build.report["layers"][index], found["layers"][index]
        assert counted["instructions"] > layer["macs"] / 4, layer["name"]
    assert found["outside_layers"]["instructions"] < 0.02 * found["instructions"]


def test_layers_that_share_a_function_are_told_apart(shared: Callable[[str], Path], tmp_path: Path) -> None:
    build = tinycompile.compile(shared("models/kws_ref_model.tflite"), output=tmp_path / "out", schedule="layer")
    found = profile_build(build)
    functions = [layer["function"] for layer in build.report["layers"] if layer["function"]]
    assert len(set(functions)) < len(functions)
    build.execute([pattern(t) for t in build.inputs])
    for layer, counted in zip(build.report["layers"], found["layers"], strict=True):
        assert abs(layer["instructions"] - counted["instructions"]) <= TRACED, layer["name"]


def test_command_line(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    tinycompile.compile(MODEL, output=folder)
    np.save(tmp_path / "x.npy", np.load(DIGITS / "digits_samples.npz")["input_0"][:2])
    result = CliRunner().invoke(main, ["profile", str(folder), "--input", str(tmp_path / "x.npy")])
    assert result.exit_code == 0, result.output
    found = json.loads((folder / "report.json").read_text())["profile"]
    assert f"{found['instructions']:,}, exact" in result.output
    for line in result.output.splitlines():
        assert "ms on" not in line or ("estimate" in line and f"error up to {error_percent('cortex-m7'):g} %" in line)
    result = CliRunner().invoke(main, ["profile", str(folder), "--json"])
    assert json.loads(result.output)["layers"] == json.loads((folder / "report.json").read_text())["profile"]["layers"]


def shown_profile(names: list[str], row: dict[str, Any], width: int) -> list[str]:
    """The lines of a profile whose layers have the same figures."""
    profile = {**row, "machine": "m", "estimate": None, "note": "", "outside_layers": row, "error_percent": ERRORS}
    layers = [{"name": name, "op": "conv2d"} for name in names]
    console = Console(width=width, file=io.StringIO())
    print_profile({"layers": layers, "profile": {**profile, "layers": [row] * len(names)}}, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


ERRORS = {"cortex-m4": None, "cortex-m7": None}


def test_labels_are_told_apart_where_they_are_long() -> None:
    """Names of 27 characters, which differ in the last, in a column of 24."""
    names = [f"encoder_block_attention_qkv{end}" for end in "ab"]
    shown = "\n".join(shown_profile(names, {"instructions": 1, "mix": {}, "cycles": {}}, 80))
    assert shown.count(names[0][:24]) == 2
    assert all(f"\n{name[24:]} " in shown for name in names)


@pytest.mark.parametrize("width", [80, 100, 200])
def test_every_figure_is_whole_in_narrow_consoles(width: int) -> None:
    """Two tables where all columns side by side would leave no room for names or cut figures."""
    kinds = ("mac", "load", "store", "simd", "alu", "branch", "other")
    waiting = {"low": 123_456, "high": 7_890_123}
    row: dict[str, Any] = {"instructions": 12_345_678, "mix": dict.fromkeys(kinds, 12_345_678)}
    row |= {"cycles": dict.fromkeys(ERRORS, 23_456_789), "waiting_assumes": []}
    row["waiting"] = {"total": waiting, "cycles": {}, "fills": {}}
    shown = shown_profile(["a_long_layer_name"], row, width)
    found = [line for line in shown if line.startswith("a_long_layer_name ")]
    whole = "123,456 to 7,890,123"
    assert len(found) == (1 if width == 200 else 2)
    assert found[0].count("23,456,789") == 2 and whole in found[0] and found[-1].count("100 %") == len(kinds)


def test_without_an_objdump_helium_has_no_estimate(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, target="mps3-an547", output=tmp_path / "out")
    toolchain = build.board.toolchain
    tools = {role: tool for role, tool in toolchain.tools.items() if role != "objdump"}
    build.board = replace(build.board, toolchain=replace(toolchain, tools=tools))
    found = profile_build(build)
    assert not found["cycles"] and not found["mix"] and found["estimate"] is None
    assert "names none in [tools]" in found["note"]


def test_a_build_for_the_host_has_nothing_to_profile(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, target="host", output=tmp_path / "out")
    with pytest.raises(UsageError, match="no firmware"):
        profile_build(build)


def test_firmware_without_line_numbers(tmp_path: Path) -> None:
    build = tinycompile.compile(MODEL, output=tmp_path / "out")
    makefile = build.folder / "Makefile"
    text = makefile.read_text()
    assert text.count(" -g ") == 1
    makefile.write_text(text.replace(" -g ", " "))
    make(build.folder, "clean")
    with pytest.raises(ToolFailedError, match="no layer was recognised"):
        profile_build(build)


def test_a_qemu_without_plugins_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build = tinycompile.compile(MODEL, output=tmp_path / "out")
    qemu = tmp_path / "bin" / "qemu-system-arm"
    qemu.parent.mkdir()
    qemu.write_text("#!/bin/sh\n[ $1 = --version ] && echo 'QEMU emulator version 9.1.0' && exit\n"
                    "echo 'qemu-system-arm: -plugin: invalid option' >&2; exit 1\n")  # fmt: skip
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", f"{qemu.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(ToolFailedError, match="takes no plugins"):
        profile_build(build)
    libraries = [*(tmp_path / "cache" / "tinycompile").iterdir()]  # of counts and of caches
    assert [library.name[-5:] for library in libraries] == ["-2.so", "-2.so"]  # the interface of QEMU 9


def test_without_capstone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "capstone", None)
    with pytest.raises(ToolMissingError, match="disassembler"):
        profile_build(tinycompile.compile(MODEL, output=tmp_path / "out"))


def test_lines_of_layers() -> None:
    source = """
LAYERS m_status m_infer(const m_context *context);
static m_status m_infer(const m_context *context)
{
    uint8_t *const arena = context->arena;

    /* 0: conv2d "a 1: b"
     *    in x */
    f(
        1);
    /* Layers 1 to 2, row by row: in its turn */
    for (;;) {

        /* 1: add "c" */
        g();
        /* 2: trained conv2d + clamp_mask "d" */
        g();
    }
    return OK;
}
    /* 3: add "after" */
"""
    lines = source.splitlines()
    found = {lines[number - 1].strip(): layer for number, layer in layer_lines(source, "m").items()}
    assert found["f("] == 0
    assert "for (;;) {" not in found
    assert found["1);"] == 0
    assert 3 not in found.values()
    assert [layer for number, layer in layer_lines(source, "m").items() if lines[number - 1].strip() == "g();"] == [
        1,
        2,
    ]


def test_the_documented_comparisons_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "benchmarks.md").read_text()
    for c in COMPARISONS:
        assert MODELS[load_board(c.board).core.pipeline].name == c.core
        assert f"| {c.board}, {c.clock_mhz} MHz | {c.model} | {c.engine} |" in text
        assert f"| {c.simulated_ms:.2f} | {c.published_ms:g} | {c.error_percent:+.1f} % |" in text
    assert f"**{error_percent('cortex-m4')} %**" in text


def test_simulated_times_are_near_those_of_silicon() -> None:
    """As they are, and each with a factor that was fitted to the others."""
    for errors in ([c.error_percent for c in COMPARISONS], left_out()):
        found = sorted(abs(e) for e in errors)
        assert statistics.median(found) <= 20
        assert found[-1] <= 40


def test_a_left_out_comparison_does_not_change_its_own_prediction() -> None:
    """All but the last took twice as long as simulated, which is all that the factor for the last knows of."""
    slow = [replace(c, published_ms=2 * c.simulated_ms) for c in COMPARISONS]
    slow[-1] = replace(slow[-1], published_ms=slow[-1].simulated_ms)
    assert left_out(slow) == pytest.approx([0.0] * (len(slow) - 1) + [100.0])


def test_error_bars_are_those_of_the_table() -> None:
    m4 = max(abs(c.error_percent) for c in COMPARISONS if c.core == "cortex-m4")
    assert error_percent("cortex-m4") == round(m4, 1)
    assert error_percent("cortex-m7") == round(max(abs(c.error_percent) for c in COMPARISONS), 1)  # few prove little
    assert error_percent("cortex-m0") is None
