"""A generated folder inside other people's builds: CMake, Zephyr, Arduino, PlatformIO, one C file, C++."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tinycompile
from tests.conftest import DIGITS
from tinycompile.targets import load_board

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]
ARM = {name: ["arm-none-eabi-gcc", *load_board(name).cflags] for name in ("stm32f746", "rp2040", "stm32n6")}

APPLICATION = """
#include <stdio.h>
#include "digits_int8.h"

static digits_int8_context context;

int main(void)
{
    if (digits_int8_init(&context) != DIGITS_INT8_OK) {
        return 1;
    }
    int8_t input[DIGITS_INT8_INPUT_0_BYTES], output[DIGITS_INT8_OUTPUT_0_BYTES];
    while (fread(input, sizeof input, 1, stdin) == 1) {
        if (digits_int8_run(&context, input, output) != DIGITS_INT8_OK) {
            return 1;
        }
        fwrite(output, sizeof output, 1, stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module", params=list(ARM))
def built(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """(target, output folder) on three kinds of core."""
    folder = tmp_path_factory.mktemp("integration") / "out"
    model = DIGITS / "digits_int8.tflite"
    tinycompile.compile(model, target=request.param, output=folder, single_file=True)
    return request.param, folder


def tool(command: list[str], folder: Path, data: bytes = b"") -> bytes:
    done = subprocess.run(command, cwd=folder, input=data, capture_output=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout.decode()}{done.stderr.decode()}"
    return done.stdout


def recognises_digits(program: Path) -> None:
    samples = np.load(DIGITS / "digits_samples.npz")
    output = tool([str(program)], program.parent, samples["input_0"][:10].tobytes())
    assert output == samples["output_0"][:10].tobytes()


def test_cmake_subdirectory(built: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "main.c").write_text(APPLICATION)
    (tmp_path / "use.cpp").write_text('#include "digits_int8.h"\nextern "C" int use() { return DIGITS_INT8_OK; }\n')
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(application C CXX)\n"
        f"add_subdirectory({built[1]} model)\nadd_executable(application main.c use.cpp)\n"
        "target_link_libraries(application PRIVATE tinycompile::digits_int8)\n"
    )
    tool(["cmake", "-S", ".", "-B", "build"], tmp_path)
    tool(["cmake", "--build", "build"], tmp_path)
    recognises_digits(tmp_path / "build" / "application")


def test_zephyr_module(built: tuple[str, Path], tmp_path: Path) -> None:
    """Zephyr's own CMake functions are stand-ins here: what they are given has to exist and to compile."""
    _, folder = built
    module = (folder / "zephyr" / "module.yml").read_text()
    assert re.search(r"^name: digits_int8$", module, re.MULTILINE)
    assert re.search(r"^build:\n  cmake: zephyr\n  kconfig: zephyr/Kconfig$", module, re.MULTILINE)
    kconfig = (folder / "zephyr" / "Kconfig").read_text()
    assert re.search(r"^config TINYCOMPILE_DIGITS_INT8\n\tbool ", kconfig, re.MULTILINE)
    (tmp_path / "main.c").write_text(APPLICATION)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.20)\nproject(application C)\nset(CONFIG_TINYCOMPILE_DIGITS_INT8 y)\n"
        "add_executable(application main.c)\n"
        "macro(zephyr_library_named name)\n  set(ZEPHYR_CURRENT_LIBRARY ${name})\n  add_library(${name} STATIC)\n"
        "  target_link_libraries(application PRIVATE ${name})\nendmacro()\n"
        "function(zephyr_include_directories)\n  include_directories(${ARGV})\n"
        "  target_include_directories(application PRIVATE ${ARGV})\nendfunction()\n"
        "function(zephyr_library_sources)\n  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})\nendfunction()\n"
        "function(zephyr_library_compile_options)\n"
        "  target_compile_options(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGV})\nendfunction()\n"
        f"add_subdirectory({folder}/zephyr module)\n"
    )
    tool(["cmake", "-S", ".", "-B", "build"], tmp_path)
    tool(["cmake", "--build", "build"], tmp_path)
    recognises_digits(tmp_path / "build" / "application")


def test_arduino_library(built: tuple[str, Path], tmp_path: Path) -> None:
    target, folder = built
    lines = [line for line in (folder / "library.properties").read_text().splitlines() if not line.startswith("#")]
    properties = dict(line.split("=", 1) for line in lines)
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
    assert required <= properties.keys()
    assert re.fullmatch(r"[A-Za-z0-9][\w .-]{0,62}", properties["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", properties["version"])
    assert properties["category"] == "Data Processing" and properties["architectures"] == "*"
    assert (folder / properties["includes"]).is_file()
    assert not (folder / "src").exists(), "the flat layout: the IDE compiles this folder's own sources"
    for source in sorted(folder.glob("*.c")):
        tool([*ARM[target], "-std=gnu11", "-Os", "-c", str(source), "-o", str(tmp_path / "a.o")], tmp_path)
    sketch = "#include <digits_int8.h>\nvoid setup() {}\nvoid loop() { digits_int8_invoke(nullptr); }\n"
    (tmp_path / "sketch.cpp").write_text(sketch)
    compiler = ["arm-none-eabi-g++", *ARM[target][1:]]
    tool([*compiler, "-std=gnu++11", f"-I{folder}", "-c", "sketch.cpp", "-o", "sketch.o"], tmp_path)


def test_platformio_library(built: tuple[str, Path], tmp_path: Path) -> None:
    target, folder = built
    library = json.loads((folder / "library.json").read_text())
    assert {"name", "version", "description", "frameworks", "platforms", "build"} <= library.keys()
    assert re.fullmatch(r"[\w-]+", library["name"]) and re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    first, *chosen = library["build"]["srcFilter"]
    assert first == "-<*>"
    for pattern in chosen:
        (name,) = re.fullmatch(r"\+<(.+)>", pattern).groups()  # type: ignore[union-attr]
        flags = [*library["build"]["flags"], f"-I{folder / library['build']['includeDir']}"]
        source = folder / library["build"]["srcDir"] / name
        tool([*ARM[target], "-Os", *flags, "-c", str(source), "-o", str(tmp_path / "a.o")], tmp_path)


def test_single_file(built: tuple[str, Path], tmp_path: Path) -> None:
    target, folder = built
    code, header = (folder / "single" / f"digits_int8.{suffix}" for suffix in ("c", "h"))
    assert re.findall(r'#\s*include "(.*)"', code.read_text()) == ["digits_int8.h"]
    assert '#include "' not in header.read_text()
    tool([*ARM[target], "-std=c99", "-O2", *WARNINGS, "-c", str(code), "-o", str(tmp_path / "a.o")], tmp_path)
    (tmp_path / "main.c").write_text(APPLICATION)
    flags = ["-std=c99", "-O2", *WARNINGS, f"-I{folder / 'single'}"]
    tool(["cc", *flags, "main.c", str(code), "-o", "application"], tmp_path)
    recognises_digits(tmp_path / "application")


CHOICES = [
    (["-DCMAKE_BUILD_TYPE=Debug"], ""),
    (["-DCMAKE_BUILD_TYPE=Release"], "-O3"),
    (["-DCMAKE_BUILD_TYPE=MinSizeRel"], "-Os"),
    (["-DCMAKE_BUILD_TYPE=RelWithDebInfo"], "-O2"),
    ([], "-O2"),
    (["-DCMAKE_C_FLAGS=-Os -g"], "-Os"),
    (["-DCMAKE_BUILD_TYPE=Debug", "-DCMAKE_C_FLAGS=-O1"], "-O1"),
    (["-DOPTIONS=-Og"], "-Og"),
]


@pytest.fixture(scope="module")
def on_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("host") / "out"
    tinycompile.compile(DIGITS / "digits_int8.tflite", target="host", output=folder)
    return folder


def levels(command: str) -> list[str]:
    return re.findall(r"(?<=\s)-O\S*", command)


@pytest.mark.parametrize(("choice", "level"), CHOICES, ids=str)
def test_cmake_leaves_the_optimization_to_the_user(
    choice: list[str], level: str, on_host: Path, tmp_path: Path
) -> None:
    """The last -O counts, so there is no other one than the user's; the model is right at every level."""
    (tmp_path / "main.c").write_text(APPLICATION)
    (tmp_path / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.13)\nproject(application C)\nadd_compile_options(${OPTIONS})\n"
        f"add_subdirectory({on_host} model)\nadd_executable(application main.c)\n"
        "target_link_libraries(application PRIVATE tinycompile::digits_int8)\n"
    )
    tool(["cmake", "-S", ".", "-B", "build", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *choice], tmp_path)
    commands = json.loads((tmp_path / "build" / "compile_commands.json").read_text())
    model = next(c["command"] for c in commands if c["file"].endswith("/digits_int8.c"))
    assert levels(model) == ([level] if level else [])
    tool(["cmake", "--build", "build"], tmp_path)
    recognises_digits(tmp_path / "build" / "application")


@pytest.mark.parametrize(
    ("variable", "expected"), [((), ["-O2"]), (("OPT=-Os",), ["-Os"]), (("CFLAGS=-O1 -g3",), ["-O1"])], ids=str
)
def test_make_leaves_the_optimization_to_the_user(
    variable: tuple[str, ...], expected: list[str], built: tuple[str, Path], on_host: Path
) -> None:
    """What the code needs stays: the core, the standard, the defines of the board."""
    for folder in (built[1], on_host):
        commands = tool(["make", "-n", "-B", *variable], folder).decode().splitlines()
        compiled = [command for command in commands if " -c " in command and " -o build/" in command]
        assert compiled and all(levels(command) == expected for command in compiled)
        assert all("-std=c99" in command and "-ffp-contract=off" in command for command in compiled)
    cpu = next(flag for flag in ARM[built[0]] if flag.startswith("-mcpu="))
    plain = tool(["make", "-n", "-B"], built[1]).decode()
    changed = tool(["make", "-n", "-B", *variable], built[1]).decode()
    assert cpu in changed and re.findall(r"-D\S+", changed) == re.findall(r"-D\S+", plain)


def test_nothing_else_chooses_the_optimization(built: tuple[str, Path]) -> None:
    for name in ("zephyr/CMakeLists.txt", "library.json", "library.properties"):
        assert not re.search(r"[\s\"(]-O", (built[1] / name).read_text()), name
