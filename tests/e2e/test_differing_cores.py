"""Two cores that aren't alike: shares by speed, a cache that only the first one has, a firmware for both."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.support.branch_models import autoencoder, averages, pictures
from tests.support.full import FULL
from tinycompile.codegen.emit import emit_project
from tinycompile.core_choice import lower_for_cores
from tinycompile.core_times import core_times
from tinycompile.elf import sections, symbol_values
from tinycompile.errors import TargetError, TinycompileWarning, UsageError
from tinycompile.layout import Layout
from tinycompile.lowered import Lowered
from tinycompile.lowering import lower, project_of
from tinycompile.options import Options
from tinycompile.profile.layers import core_lines
from tinycompile.report.profile import core_rows
from tinycompile.resources import boards_dir
from tinycompile.targets import Board, load_board

CACHES = Path(__file__).with_name("two_caches.c")
SLOWER = """
[second_core]
name = "cortex-m33 at a third of the clock"
pipeline = "m33"
clock_hz = 6_666_667
features = []
flags = ["-mcpu=cortex-m33+nodsp", "-mthumb", "-mfloat-abi=soft"]
sources = ["second_core.c"]
memory.flash = { origin = 0x1000_0000, bytes = 0x40_0000, access = "free" }
memory.ram = { origin = 0x3800_0000, bytes = 0x40_0000, access = "free" }
access = { flash = "free", ram = "free" }
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(pictures())
    return path


@pytest.fixture(scope="module")
def lowered(model: Path) -> tuple[Lowered, Layout, Board]:
    """For the STM32H747's cores."""
    options = Options.of("stm32h747", cores=2, fast_code=0, fast_weights=0)
    board = options.board()
    (found,), layout = lower([model], board, options)
    return found, layout, board


@pytest.fixture(scope="module")
def files(lowered: tuple[Lowered, Layout, Board]) -> dict[str, str]:
    """The same as C."""
    found, layout, board = lowered
    return emit_project(project_of(board, layout, [found], cores=2))


def simulated(files: dict[str, str], work: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        if name.endswith((".c", ".h")) and not name.startswith("firmware"):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(text)
    command = ["cc", "-std=gnu99", "-g", *flags, "-ffp-contract=off", "-I", str(work), "-o", str(work / "two")]
    subprocess.run([*command, str(CACHES), str(work / "model_weights.c"), "-lpthread", "-lm"], check=True)
    return subprocess.run([str(work / "two")], capture_output=True, text=True, check=False, timeout=600)


def test_a_cache_of_the_first_core_changes_nothing(
    lowered: tuple[Lowered, Layout, Board], files: dict[str, str], tmp_path: Path
) -> None:
    found = lowered[0]
    assert sum(bool(kernel.halves) for kernel in found.planned.kernels) >= 2
    assert found.planned.forks
    assert all(at % 32 == 0 for at in found.planned.offsets.values())
    ran = simulated(files, tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "0 wrong, 0 lost, cached\n"), ran.stderr


@pytest.mark.skipif(not FULL, reason="the same under a sanitizer: test-full")
def test_no_line_is_written_by_both(files: dict[str, str], tmp_path: Path) -> None:
    ran = simulated(files, tmp_path, "-O1", "-fsanitize=thread")
    assert ran.returncode == 0, ran.stderr


@pytest.mark.skipif(not FULL, reason="compiles the C for each line: test-full")
@pytest.mark.parametrize("function", ["write_back", "forget"])
def test_what_is_not_said_to_the_cache_shows(function: str, files: dict[str, str], tmp_path: Path) -> None:
    """Without all of them; what nobody reads again is written back for nothing."""
    text = re.sub(rf"^ +tc_{function}\(arena \+ .*$", "", files["model.c"], flags=re.MULTILINE)
    assert simulated({**files, "model.c": text}, tmp_path, "-O1").returncode != 0


@pytest.mark.skipif(not FULL, reason="links firmware: test-full")
def test_the_firmware_for_both_cores(tmp_path: Path) -> None:
    model = tmp_path / "autoencoder.tflite"
    model.write_bytes(autoencoder())
    build = tinycompile.compile(model, "stm32h747", output=tmp_path / "out", cores=2, pareto=False)
    elf = build.elf("firmware.elf")
    found = sections(elf)
    assert found[".second_vectors"] == (0x0810_0000, 64)
    assert 0x3000_0000 <= found[".second_stack"][0] < found[".arena"][0] < 0x3004_8000
    assert found[".stack"][0] >> 24 == 0x24  # start-up's, before there is a clock for the others
    context, top, entry = symbol_values(elf, "context", "linker_second_stack_top", "second_core")
    assert context % 32 == 0 and top % 32 == 0
    data = elf.read_bytes()
    assert (top.to_bytes(4, "little") + (entry | 1).to_bytes(4, "little")) in data
    x = np.random.default_rng(1).integers(-128, 128, (2, *build.inputs[0].shape)).astype(np.int8)
    for here, there in zip(build.run(x), build.run(x, on="qemu"), strict=True):
        assert np.array_equal(here, there)


def test_one_core_computes_what_both_are_no_faster_with(tmp_path: Path) -> None:
    model = tmp_path / "averages.tflite"
    model.write_bytes(averages())
    with pytest.warns(TinycompileWarning, match=r"both cores .* [\d.]+ ms, the cortex-m7 takes [\d.]+ ms alone"):
        options, board, (found,), layout = lower_for_cores([model], Options.of("stm32h747", cores=2))
    assert (options.cores, board.cores, layout.arena.name) == (1, 1, "dtcm")
    assert not any(kernel.halves for kernel in found.planned.kernels)


def test_code_of_both_is_not_copied(model: Path) -> None:
    with pytest.raises(UsageError, match="--cores 2 doesn't go with --fast-code"):
        lower_for_cores([model], Options.of("stm32h747", cores=2, fast_code=1024))


def slower_second_core(folder: Path) -> Path:
    """The board that QEMU has with both cores, of which the second one is said to be slower."""
    board = folder / "mps2-an521"
    board.mkdir(parents=True)
    text = (boards_dir() / "mps2-an521" / "board.toml").read_text().replace("cores = 2\n", "")
    (board / "board.toml").write_text(text.replace(', "second_core.c"]', "]") + SLOWER)
    return folder


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("ways = 4\nline = 32", "ways = 4\nline = 64", "lines of 32 bytes"),
        ('pipeline = "m4"', 'pipeline = "m9"', "pipeline is one of"),
        ("clock_hz = 200_000_000", "clock_hz = 0", "clock_hz is positive"),
        ('shared = "free"', 'elsewhere = "free"', r"no \[second_core.memory.elsewhere\]"),
    ],
)
def test_what_is_wrong_with_a_second_core(old: str, new: str, text: str, tmp_path: Path) -> None:
    board = tmp_path / "stm32h747"
    board.mkdir()
    (board / "board.toml").write_text((boards_dir() / "stm32h747" / "board.toml").read_text().replace(old, new))
    with pytest.raises(TargetError, match=text):
        load_board("stm32h747", tmp_path)


@pytest.mark.skipif(not FULL, reason="links firmware: test-full")
def test_shares_by_speed_in_qemu(model: Path, tmp_path: Path) -> None:
    path = slower_second_core(tmp_path / "boards")
    build = tinycompile.compile(model, "mps2-an521", board_path=path, output=tmp_path / "out", cores=2, pareto=False)
    rows = [re.findall(r"rows (\d+) and (\d+)", layer["notes"].get("cores", "")) for layer in build.report["layers"]]
    shares = [(int(first), int(second)) for found in rows for first, second in found]
    assert len(shares) >= 2
    assert all(2 * second <= first for first, second in shares)
    x = np.random.default_rng(1).integers(-128, 128, (3, *build.inputs[0].shape)).astype(np.int8)
    for on_both, alone in zip(build.run(x, on="qemu"), build.run(x), strict=True):
        assert np.array_equal(on_both, alone)


def test_profile_knows_the_lines_of_each_core(files: dict[str, str]) -> None:
    lines, source = core_lines(files["model.c"], "model"), files["model.c"].splitlines()
    begins = {"    if (core != 1) {": 0, "    if (core != 0) {": 1, "    if (core == 0) {": 0}
    inside = [number for number in lines if source[number - 1] in begins]
    assert {lines[number] for number in inside} == {0, 1}
    assert all(lines[number + 1] == begins[source[number - 1]] for number in inside)
    assert not any(source[number - 1] == "    meet(context, core);" for number in lines)
    cores = [{"core": "a", "instructions": 7, "clock_hz": 2_000_000, "cycles": 9, "milliseconds": 1.5}]
    assert list(core_rows({"cores": cores}))[1] == "core 0: 7 instructions on a a at 2 MHz, about 1.500 ms"
    assert not list(core_rows({}))


def test_both_take_about_as_long(lowered: tuple[Lowered, Layout, Board]) -> None:
    found, layout, board = lowered
    times = core_times(found.planned, layout, board)
    assert max(times.busy) <= times.total <= sum(times.busy)
    for kernel, (first, second) in zip(found.planned.kernels, times.layers, strict=True):
        assert not kernel.halves or 0.3 < second / first < 3
