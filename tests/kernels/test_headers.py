"""The runtime headers get along with each other: a model may need all of them."""

from __future__ import annotations

import subprocess

import pytest

from tinycompile.resources import runtime_dir

WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wundef", "-Werror"]
ARM = ["arm-none-eabi-gcc", "-mcpu=cortex-m7", "-mthumb", "-mfpu=fpv5-sp-d16", "-mfloat-abi=hard"]


@pytest.mark.parametrize(
    "command",
    [["cc", "-x", "c", "-std=c99"], ["g++", "-x", "c++", "-std=c++11"], [*ARM, "-x", "c", "-std=c99"]],
    ids=["c", "c++", "arm"],
)
def test_all_headers_compile_together(command: list[str]) -> None:
    headers = sorted(path.relative_to(runtime_dir()).as_posix() for path in runtime_dir().rglob("*.h"))
    source = "".join(f'#include "{header}"\n' for header in headers) + "int main(void) { return 0; }\n"
    quiet = ["-Wno-unused-function"]
    subprocess.run(
        [*command, "-O1", *WARNINGS, *quiet, "-I", str(runtime_dir()), "-fsyntax-only", "-"],
        input=source,
        text=True,
        check=True,
    )
