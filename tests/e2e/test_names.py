"""Models and output folders of any name: nothing collides, shadows a header or breaks a Makefile."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.conftest import ROOT
from tests.reliability.programs import STRICT
from tests.support.tflite_builder import NONE, TfliteBuilder
from tinycompile.build import Build
from tinycompile.cli import main
from tinycompile.toolchain import make

ODD = 'it\'s $HOME $(shell x) #1 100% back\\slash & "q" ;x=y, `z` é'
NAMES = """startup semihosting String main board console time arena inputs guard net net_weights net_input_0 net_memory
    model vector""".split()
STANDARD = "assert ctype errno float inttypes limits locale math setjmp signal stdint stdio stdlib string time"
CPP = "algorithm array cmath cstring map memory queue string tuple vector"


def tiny(seed: int) -> bytes:
    """A layer of four numbers."""
    b, rng = TfliteBuilder(), np.random.default_rng(seed)
    x, y = b.tensor((1, 4), 0.1), b.tensor((1, 3), 0.2)
    kernel = b.constant(rng.integers(-127, 128, (3, 4)).astype(np.int8), 0.01)
    b.op("FULLY_CONNECTED", [x, kernel, -1], [y], FusedActivationFunction=NONE)
    return b.build([x], [y])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All of them in one firmware, in a folder with every character that a shell or make knows; what was printed."""
    folder = tmp_path_factory.mktemp("names") / ODD
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        (folder / f"{name}.tflite").write_bytes(tiny(seed))
    models = [str(folder / f"{name}.tflite") for name in NAMES]
    arguments = ["build", *models, "--target", "mps2-an386", "-o", str(folder / "out"), "--no-pareto"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return folder / "out", result.output


def test_models_of_any_name_run(built: tuple[Path, str]) -> None:
    folder, printed = built
    x = np.random.default_rng(1).integers(-128, 128, (2, 4)).astype(np.int8)
    names = [path.name.removesuffix("_memory.svg") for path in folder.glob("*_memory.svg")]
    assert len(names) == len(NAMES)
    assert {"startup_model", "string_model", "net", "net_weights_model", "model", "arena"} <= set(names)
    for name in ("startup_model", "net_weights_model", "arena"):
        build = Build(folder, model=name)
        np.testing.assert_array_equal(build.run(x), build.run(x, on="qemu"))
    assert "startup.tflite is called startup_model in C" in printed
    assert "is called net in C" not in printed


def test_the_console_firmware_builds_there(built: tuple[Path, str]) -> None:
    make(built[0], "console")


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_the_folder_shadows_no_header(built: tuple[Path, str], language: str) -> None:
    folder, _ = built
    headers = [path.name for path in folder.glob("*.h") if not path.name.endswith(("_weights.h", "_layers.h"))]
    assert len(headers) > len(NAMES) // 2
    lines = [f"#include <{name}.h>" for name in STANDARD.split()] + [f'#include "{name}"' for name in sorted(headers)]
    if language == "cpp":
        lines += [f"#include <{name}>" for name in CPP.split()]
    text = "\n".join([*lines, "int main(void) { return printf != 0 && strlen != 0 && errno != 1 ? 0 : 1; }", ""])
    compiler = ["g++", "-x", "c++", "-std=c++17", *STRICT[1:]] if language == "cpp" else ["gcc", "-x", "c", *STRICT]
    flags = ["-Wno-address", "-Wno-nonnull-compare", f"-I{folder}", "-fsyntax-only", "-"]
    subprocess.run([*compiler, *flags], input=text, text=True, check=True, cwd=ROOT)


def test_a_host_build_of_such_a_name(tmp_path: Path) -> None:
    """A command called `vector` would be what `#include <vector>` finds."""
    folder = tmp_path / ODD
    folder.mkdir()
    (folder / "vector.tflite").write_bytes(tiny(0))
    arguments = ["build", str(folder / "vector.tflite"), "--target", "host", "-o", str(folder / "out"), "-q"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    assert not (folder / "out" / "vector").exists()
    x = np.zeros((1, 4), np.int8)
    command = subprocess.run([folder / "out" / "vector_model"], input=x.tobytes(), capture_output=True, check=True)
    assert np.frombuffer(command.stdout, np.int8).tolist() == np.asarray(Build(folder / "out").run(x)).ravel().tolist()
