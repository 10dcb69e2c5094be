"""The generated file as its reader finds it: `invoke` first, then the layers, with names for what they work on."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import DIGITS
from tests.reliability.programs import STRICT
from tests.support.tflite_builder import NONE, SAME, TfliteBuilder
from tinycompile.codegen.emit import emit_project
from tinycompile.codegen.reserved import LOCALS, is_reserved_word
from tinycompile.lowering import lower, project_of
from tinycompile.options import Options
from tinycompile.resources import runtime_dir
from tinycompile.staging import write_files

FIRST_LINES = 200
SCHEDULES = ["layer", "stream", "patch"]
LAYER_WISE = ["kws_ref_model.tflite", "vww_96_int8.tflite", "ad_autoencoder.onnx"]

ADDRESS = re.compile(r"\b(arena|state) \+ ")
NAMING = re.compile(r" +(\w+) \*const (\w+) = \(\1 \*\)\((?:arena|state) \+ \d+\);|    +scratch = arena \+ \d+;")


def emitted(models: list[Path], **options: object) -> tuple[dict[str, str], str]:
    """The files that would be written, and what the first model is called."""
    chosen = Options(**{"target": "stm32f746", **options})  # type: ignore[arg-type]
    board = chosen.board()
    lowered, layout = lower(models, board, chosen)
    project = project_of(board, layout, lowered, separate=chosen.weights == "separate")
    return emit_project(project), project.programs[0].model


def body_of(code: str, function: str) -> list[str]:
    """The lines of a function."""
    lines = code.splitlines()
    start = next(i for i, line in enumerate(lines) if f" {function}(" in line and not line.endswith(";"))
    return lines[start : lines.index("}", start)]


def check(code: str, model: str) -> None:
    lines = code.splitlines()
    (invoke,) = [i for i, line in enumerate(lines) if line.startswith(f"{model}_status {model}_invoke(")]
    assert invoke < FIRST_LINES
    body = body_of(code, f"{model}_infer")
    assert lines.index(body[0]) < FIRST_LINES  # the layers follow
    addresses = [line for line in body if ADDRESS.search(line)]
    assert addresses
    assert [line for line in addresses if not NAMING.fullmatch(line)] == []
    assert [line for line in body[2:] if line and not line.startswith("    ")] == []


def untidy(files: dict[str, str]) -> list[str]:
    """What nobody types: spaces at a line's end, two empty lines."""
    return [
        f"{name}: {wrong!r}" for name, text in files.items() for wrong in (" \n", "\t\n", "\n\n\n") if wrong in text
    ]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("options", [{}, {"weights": "separate"}, {"target": "rp2040"}, {"target": "host"}], ids=str)
def test_invoke_comes_first_and_values_have_names(schedule: str, options: dict[str, str]) -> None:
    files, model = emitted([DIGITS / "digits_int8.tflite"], schedule=schedule, **options)
    check(files[f"{model}.c"], model)
    assert untidy(files) == []


@pytest.mark.parametrize("name", LAYER_WISE)
def test_of_large_models_too(name: str, shared: Callable[[str], Path]) -> None:
    files, model = emitted([shared(f"models/{name}")], dtype="float32" if name.endswith("onnx") else "int8")
    check(files[f"{model}.c"], model)


@pytest.mark.parametrize(("name", "most"), [("kws_ref_model", 800), ("ic_resnet8_int8", 900)])
def test_the_code_of_a_model_is_short(name: str, most: int, shared: Callable[[str], Path]) -> None:
    """Layers and what they do together, without the kernel headers and the weights."""
    files, model = emitted([shared(f"models/{name}.tflite")], optimize="speed")
    assert sum(len(files[f"{model}{end}"].splitlines()) for end in (".c", "_layers.h")) <= most


LONG = "net/torch.nn.modules.container.Sequential_f/torch.nn.modules.conv.Conv2d_{};2"
HOSTILE = [
    ["int", "class", "for", "NULL", "EOF", "I", "assert", "errno", "linux", "int8_t", "main", "memcpy"],
    ["arena", "scratch", "context", "n", "tick", "tile", "weights", "state", "tc_rows", "LAYER_DONE", "hostile_invoke"],
    ["ä", "日本", "9lives", "9_lives", "-", " ", "x.y", "x-y", "x_y", "x_y_2", "X_Y", "a/b", "*/ x", "new", "signgam"],
    [LONG.format(number) for number in (0, 3, 30, 300)],
    ["conv2d_lane", "conv2d", "lane_block_4_s8_asr13", "fully_connected", "TC_INLINE", "softmax"],
    ["same/name/x", "same/name/y", "same/name/x;z", "same/other"],
]


def chain(names: list[str], folder: Path) -> Path:
    """Pointwise convolutions one after the other, whose results are called like this."""
    b, rng = TfliteBuilder(), np.random.default_rng(3)
    first = x = b.tensor((1, 4, 4, 4), 0.5, name="n")
    for index, name in enumerate(names):
        y = b.tensor((1, 4, 4, 4), 0.3 + index / 100, name=name)
        kernel = b.constant(rng.integers(-127, 128, (4, 1, 1, 4)).astype(np.int8), [0.01] * 4, name=f"{name}/w")
        b.op("CONV_2D", [x, kernel, -1], [y], StrideH=1, StrideW=1, Padding=SAME, FusedActivationFunction=NONE)
        x = y
    path = folder / "hostile.tflite"
    path.write_bytes(b.build([first], [x]))
    return path


@pytest.mark.parametrize("schedule", ["layer", "patch"])
@pytest.mark.parametrize("names", HOSTILE, ids=lambda names: names[0][:12])
def test_names_of_values_are_harmless(names: list[str], schedule: str, tmp_path: Path) -> None:
    files, model = emitted([chain(names, tmp_path)], target="host", schedule=schedule)
    named = [match[2] for line in body_of(files[f"{model}.c"], f"{model}_infer") if (match := NAMING.fullmatch(line))]
    named = [name for name in named if name]
    assert len(set(named)) == len(named) > len(names)
    assert all(re.fullmatch(r"[a-z]\w{0,63}", name) and not is_reserved_word(name) for name in named)
    assert not {*named}.intersection(LOCALS)
    write_files(tmp_path / "out", files)
    command = ["gcc", *STRICT, "-fsyntax-only", f"-I{tmp_path / 'out'}", tmp_path / "out" / f"{model}.c"]
    subprocess.run(command, check=True)


def test_lower_case_macros_of_what_the_code_includes_are_reserved() -> None:
    """Of both compilers: a variable of such a name would be something else."""
    includes = "".join(f'#include "{path}"\n' for path in sorted(runtime_dir().rglob("*.h")))
    for compiler in (["gcc"], ["arm-none-eabi-gcc", "-mcpu=cortex-m4"]):
        command = [*compiler, "-E", "-dM", f"-I{runtime_dir()}", "-x", "c", "-"]
        output = subprocess.run(command, input=includes, capture_output=True, text=True, check=True).stdout
        objects = re.findall(r"^#define ([a-z]\w*) ", output, re.MULTILINE)
        assert [name for name in objects if not is_reserved_word(name)] == []


def test_what_is_said_of_a_layer_is_what_it_has() -> None:
    files, model = emitted([DIGITS / "digits_int8.tflite"])
    code = files[f"{model}.c"]
    assert [line for line in body_of(code, f"{model}_infer") if len(line) > 120] == []
    layers = re.findall(r"/\* \d+: (\w+) .*?\*/", code, re.DOTALL)
    comments = re.findall(r"/\* \d+: .*?\*/", code, re.DOTALL)
    assert layers[-1] == "softmax" and all("; chosen: " in re.sub(r";\s+\*\s+", "; ", text) for text in comments)
    with_weights = {layer for layer, text in zip(layers, comments, strict=True) if "4-bit weights" in text}
    assert with_weights == {"fully_connected"}  # a softmax has a table, which no bits make smaller
    reset = body_of(code, f"{model}_reset")
    assert [line.strip() for line in reset[2:]] == ["return check_context(context);"]
