"""Names from a model file become harmless C."""

from __future__ import annotations

import ast
import re
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinycompile
from tests.conftest import DIGITS
from tinycompile.codegen.names import c_string, comment_text, identifier, layer_comment, model_identifier
from tinycompile.codegen.parts import NOTES_WIDTH, _filled
from tinycompile.codegen.reserved import KEYWORDS, are_alike


@given(st.lists(st.text(), max_size=8))
def test_identifiers_are_valid_and_unique(names: list[str]) -> None:
    taken: set[str] = set()
    made = [identifier(name, taken) for name in names]
    assert len(set(made)) == len(made)
    for name in made:
        assert name.isascii() and name.isidentifier() and len(name) < 64


@pytest.mark.parametrize("word", ["int", "class", "main", "for", "errno", "int8_t"])
def test_reserved_words_are_avoided(word: str) -> None:
    assert identifier(word, set()) == f"{word}_"


def test_names_of_the_runtime_are_avoided() -> None:
    assert identifier("tc_simd", set()) == "layer_tc_simd"


@given(st.text())
def test_comments_cannot_be_left(text: str) -> None:
    safe = comment_text(text)
    assert "*/" not in safe and "/*" not in safe and "\n" not in safe and "\\" not in safe and "??" not in safe
    assert safe.isascii() and safe.isprintable() and len(safe) <= 80


@given(st.text())
def test_layers_in_comments_cannot_leave_them(text: str) -> None:
    safe = layer_comment(text)
    assert "*/" not in safe and "/*" not in safe and "\n" not in safe and "\\" not in safe and "??" not in safe
    assert safe.isascii() and safe.isprintable()


def test_a_layers_path_is_said_in_full() -> None:
    path = "net.Net/torch.nn.modules.container.Sequential_f/" * 3 + "torch.nn.modules.conv.Conv2d_0"
    assert len(path) > 150
    assert layer_comment(path) == path
    assert layer_comment(f"{path};;{path}") == f"{path};..."
    assert layer_comment("net/relu/Relu;net/conv/Conv2D") == "net/relu/Relu;net/conv/Conv2D"


OURS = """startup semihosting console main board firmware tc tc_dot build host all clean makefile source single report
    certificate library zephyr tinycompile linker""".split()
FUNCTIONS = ["mtx", "sem", "pthread_mutex", "posix_spawnattr", "hal", "os", "err"]
ELSEWHERE = "cmsis_gcc core_cm7 arm_math arm_mve stm32f7xx system_stm32f7xx nrf52840 freertos task".split()
DEVICES = ["con", "aux", "nul", "com1", "lpt9"]
ORDINARY = ["model", "digits_int8", "kws", "vww_96_int8", "mobilenet_v2", "net", "detector", "a", "x1", "test", "stamp"]
INCLUDES = [
    "/usr/lib/arm-none-eabi/include",
    "/usr/lib/gcc/arm-none-eabi/*/include",
    "/usr/lib/gcc/x86_64-linux-gnu/*/include",
    "/usr/include/c++/*",
]


def headers() -> set[str]:
    """Names of the headers of the installed compilers and C libraries that a model's file could have."""
    found = [path for pattern in INCLUDES for path in Path("/").glob(f"{pattern[1:]}/*") if path.is_file()]
    assert len(found) > 200
    stems = {re.sub(r"[^a-z0-9]+", "_", path.stem.lower()).strip("_") for path in found if path.suffix in ("", ".h")}
    return stems - {""}


def test_a_model_cannot_have_the_name_of_a_header() -> None:
    """Nor of a word of C or C++, an object, goal or folder of ours, a library's function, a device."""
    taken_elsewhere = headers() | KEYWORDS | set(OURS + FUNCTIONS + ELSEWHERE + DEVICES)
    wrong = {name for name in taken_elsewhere if model_identifier(name, set()) in taken_elsewhere}
    assert wrong == set()
    assert all(model_identifier(name.upper(), set()) == f"{name}_model" for name in OURS)


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_are_kept(name: str) -> None:
    assert model_identifier(name, {"other"}) == name


@given(st.lists(st.sampled_from(["net", "net_weights", "net_input_0", "net_init", "input_0", "net_model", "m2_net"])))
def test_models_of_a_firmware_share_no_name(stems: list[str]) -> None:
    others = set[str]()
    made = [model_identifier(stem, others) for stem in stems]
    assert len(set(made)) == len(made)
    assert not any(are_alike(one, other) for one, other in combinations(made, 2))


@given(st.text())
def test_strings_are_what_they_say(text: str) -> None:
    literal = c_string(text)
    assert literal.isascii() and literal.isprintable() and "??" not in literal
    expected = text.encode(errors="replace") if len(text) <= 255 else None
    if expected is not None:
        assert ast.literal_eval("b" + literal.replace("\\?", "?")) == expected


def test_what_is_said_of_a_layer_is_said_in_full(tmp_path: Path) -> None:
    """Names of models are shortened, our own sentences aren't: each begins with its key."""
    build = tinycompile.compile(DIGITS / "digits_int8.tflite", target="mps2-an386", ram=2048, output=tmp_path / "out")
    code = (tmp_path / "out" / f"{build.model}.c").read_text()
    said = re.findall(r"^ +\*    (\w+; .+?)(?: \*/)?$", code, re.MULTILINE)
    assert len(said) == len(build.report["layers"])
    assert max(map(len, said)) > 80
    for line in said:
        assert "..." not in line and all(re.match(r"[a-z_]+: \S", note) for note in line.split("; ")[1:]), line


def test_a_note_that_is_longer_than_a_line_is_whole() -> None:
    note = (
        "weights: 1,522 of 1,522 bytes are the widest network's, put together in 1,528 bytes of RAM, and "
        + "more " * 20
    )
    lines = _filled(["kernel", "short: one", note.strip(), "short: two"])
    assert lines[0] == "   kernel; short: one;" and max(map(len, lines)) <= NOTES_WIDTH
    assert " ".join(each.strip() for each in lines) == f"kernel; short: one; {note.strip()}; short: two"
