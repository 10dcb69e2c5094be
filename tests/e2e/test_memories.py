"""Several memories, several models: where everything goes, and that it works there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

import tinycompile
from tests.conftest import DIGITS
from tests.e2e.test_golden import inputs_of, same_values
from tests.support.full import FULL
from tests.support.random_model import RandomModel
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.errors import DoesNotFitError, TargetError, UsageError
from tinycompile.options import Options
from tinycompile.pipeline import compile_together
from tinycompile.targets import load_board
from tinycompile.targets.memory import Memory, memories_of, ram_choices


def address(elf: Path, symbol: str) -> int:
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        return next(s["st_value"] for s in table.iter_symbols() if s.name == symbol)


def holds(build: Build) -> dict[str, dict[str, int]]:
    return {memory["name"]: memory["holds"] for memory in build.report["memories"]}


def test_a_small_arena_is_in_the_fastest_memory(tmp_path: Path) -> None:
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="stm32f746", output=tmp_path / "out")
    assert {"arena", "stack"} <= holds(build)["dtcm"].keys()
    assert address(build.elf("firmware.elf"), "context") >> 16 == 0x2000


def test_a_larger_arena_leaves_the_fastest_memory_to_scratch(shared, tmp_path: Path) -> None:
    model = shared("models/mcunet_vww.tflite")
    build = tinycompile.compile(model, target="stm32f746", output=tmp_path / "out", fast_weights=0)
    assert {"scratch", "stack"} <= holds(build)["dtcm"].keys()
    assert holds(build)["ram"] == {"arena": build.report["ram"]["arena_bytes"]}
    assert address(build.elf("firmware.elf"), "context") == 0x2001_0000
    inputs, expected = inputs_of(shared("golden/mcunet_vww.npz"))
    assert same_values(build.run(*(x[:1] for x in inputs)), [y[:1] for y in expected])
    assert same_values(build.run(*(x[:1] for x in inputs), on="qemu"), [y[:1] for y in expected])


def test_large_cold_weights_are_in_external_flash(shared, tmp_path: Path) -> None:
    """MobileNetV2 layer by layer: 3.8 MB of weights, 1 MiB of internal flash; the arena is in SDRAM."""
    model = shared("models/mobilenet_v2_int8.tflite")
    build = tinycompile.compile(model, output=tmp_path / "out", schedule="layer")
    places = holds(build)
    assert places["flash"].keys() == {"code", "weights"}
    assert sum(places["flash"].values()) <= 1 << 20
    assert places["qspi"]["weights"] > 2 << 20
    assert places["sdram"]["arena"] > 1 << 20
    assert (tmp_path / "out/firmware.bin").stat().st_size <= 1 << 20
    assert (tmp_path / "out/firmware_qspi.bin").stat().st_size == places["qspi"]["weights"]
    inputs, expected = inputs_of(shared("golden/mobilenet_v2_int8.npz"))
    assert same_values(build.run(*(x[:1] for x in inputs), on="qemu"), [y[:1] for y in expected])


@pytest.mark.skipif(not FULL, reason="builds 3.8 MB once more; smaller models go by rows in test_streaming")
def test_row_by_row_a_large_model_fits_internal_ram(shared, tmp_path: Path) -> None:
    """MobileNetV2 1.0 at 224 x 224 on the STM32F746: 320 KiB of RAM, weights in QSPI flash."""
    build = tinycompile.compile(shared("models/mobilenet_v2_int8.tflite"), target="stm32f746", output=tmp_path / "out")
    assert build.report["schedule"] == "stream"
    assert "sdram" not in holds(build)
    assert build.report["ram"]["total_bytes"] <= 320 * 1024
    assert build.report["macs"]["executed"] <= 1.1 * build.report["macs"]["nominal"]
    inputs, expected = inputs_of(shared("golden/mobilenet_v2_int8.npz"))
    assert same_values(build.run(*(x[:1] for x in inputs), on="qemu"), [y[:1] for y in expected])


def test_two_models_share_an_arena(tmp_path: Path) -> None:
    content, shape = RandomModel(3).build(layers=4)
    other = tmp_path / "other.tflite"
    other.write_bytes(content)
    digits = DIGITS / "digits_int8.tflite"
    builds = compile_together([digits, other], Options(), output=tmp_path / "out")
    alone = [tinycompile.compile(m, output=tmp_path / f"alone{i}") for i, m in enumerate((digits, other))]
    arenas = [build.report["ram"]["arena_bytes"] for build in builds]
    assert arenas == [build.report["ram"]["arena_bytes"] for build in alone]
    ram = builds[0].report["ram"]
    parts = [f"{part}_bytes" for part in ("scratch", "state", "fast_code", "fast_weights", "stack", "other")]
    assert ram["total_bytes"] == max(arenas) + sum(ram[part] for part in parts)
    samples = [np.load(DIGITS / "digits_samples.npz")["input_0"][:3]]
    samples.append(np.random.default_rng(0).integers(-128, 128, (3, *shape)).astype(np.int8))
    for build, single, x in zip(builds, alone, samples, strict=True):
        expected = single.run(x)
        np.testing.assert_array_equal(build.run(x), expected)
        np.testing.assert_array_equal(build.run(x, on="qemu"), expected)
    assert Build(tmp_path / "out", model="other").report["run"]["samples"] == 3
    with pytest.raises(UsageError, match="several models"):
        Build(tmp_path / "out")
    with pytest.raises(UsageError, match="no model 'third'"):
        Build(tmp_path / "out", model="third")


def test_plan_prints_the_map_and_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["plan", str(DIGITS / "digits_int8.tflite"), "--ram", "16K"])
    assert result.exit_code == 0, result.output
    assert "proved minimal" in result.output
    assert "a column is 1 step" in result.output
    assert "dtcm" in result.output
    assert not list(tmp_path.iterdir())


def test_what_cannot_fit_says_what_is_live_and_what_would_do(tmp_path: Path) -> None:
    model, layer = DIGITS / "digits_int8.tflite", {"optimize": "ram", "schedule": "layer"}
    smallest = tinycompile.compile(model, output=tmp_path / "ram", **layer).report["ram"]["arena_bytes"]
    with pytest.raises(DoesNotFitError, match=f"it fits from {smallest:,} bytes, executed layer by layer") as error:
        tinycompile.compile(model, output=tmp_path / "out", ram=smallest - 8, schedule="layer")
    assert "in use together: '" in str(error.value)
    with pytest.raises(
        DoesNotFitError, match=f"from {smallest:,} bytes executed layer by layer, from [0-9,]+ by rows or patches"
    ):
        tinycompile.compile(model, output=tmp_path / "out", ram=200)
    assert not (tmp_path / "out").exists()
    fitting = tinycompile.compile(model, output=tmp_path / "out", ram=smallest, schedule="layer")
    assert fitting.report["ram"]["arena_bytes"] == smallest
    assert tinycompile.compile(model, output=tmp_path / "out", ram=smallest - 8).report["schedule"] == "stream"


def test_ram_choices_are_regions_and_runs_of_adjacent_ones() -> None:
    memories = [Memory("b", 100, 50, cost=1.5), Memory("a", 0, 100), Memory("c", 200, 10), Memory("f", 300, 9, "flash")]
    found = [(m.name, m.origin, m.bytes, m.cost) for m in ram_choices(memories)]
    assert found == [("c", 200, 10, 1.0), ("a", 0, 100, 1.0), ("b", 100, 50, 1.5), ("a_b", 0, 150, 1.5)]


@pytest.mark.parametrize(
    ("tables", "match"),
    [
        ({"flash": {"origin": 0, "bytes": 8}}, "ram"),
        ({"flash": {"origin": 0, "bytes": 8}, "ram": {"origin": 4, "bytes": 8}}, "overlap"),
        ({"flash": {"origin": 0, "bytes": 8}, "ram": {"origin": 8, "bytes": 8, "cost": 0.5}}, "cost"),
    ],
)
def test_memories_that_make_no_sense(tables: dict, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        memories_of(tables)


def test_a_board_without_a_stand_in_for_its_external_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tinycompile.codegen.linker import linker_script
    from tinycompile.layout import Layout

    board = load_board("stm32f746")
    sdram = next(m for m in board.memories if m.name == "sdram")
    layout = Layout(board.ram, sdram, None, board.flash)
    assert "0x60000000" in linker_script(board, load_board("mps2-an500"), layout)
    with pytest.raises(TargetError, match="has no memory for 'sdram'"):
        linker_script(board, load_board("mps2-an505"), layout)
