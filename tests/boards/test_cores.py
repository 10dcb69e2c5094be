"""Cores and toolchains as data: what board.toml and a toolchain's file say, and that nothing else knows their names."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.support.kernel_checks import int8, site_of
from tinycompile.errors import TargetError
from tinycompile.ir import Site
from tinycompile.kernels import kernels_of
from tinycompile.kernels.base import Kernel, kernel_for
from tinycompile.ops.reshape import Reshape
from tinycompile.resources import boards_dir
from tinycompile.targets import FEATURES, Core, all_boards, copy_boards, load_board, load_toolchain

SOURCES = [*(ROOT / "tinycompile").rglob("*.py"), *(ROOT / "templates" / "c").rglob("*.j2")]
CORE_NAME = re.compile(r"cortex-m\d", re.IGNORECASE)
TOOL_NAME = re.compile(
    r"arm-none-eabi-|qemu-system-|(?<![\w-])-m(cpu|thumb|fpu|float-abi|no-unaligned-access)\b|\.isa\b|\bIsa\b"
)


def decisions(path: Path) -> Iterator[str]:
    """Strings of a module that are compared, looked up or matched."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Compare():
                parts: list[ast.AST | None] = [node.left, *node.comparators]
            case ast.Dict():
                parts = [*node.keys]
            case ast.Subscript():
                parts = [node.slice]
            case ast.match_case():
                parts = [node.pattern]
            case ast.Tuple() | ast.List() | ast.Set():
                parts = [element for element in node.elts if isinstance(element, ast.Constant)]
            case _:
                continue
        for part in parts:
            if part is not None:
                yield from (n.value for n in ast.walk(part) if isinstance(n, ast.Constant) and isinstance(n.value, str))


def test_nothing_decides_by_a_cores_name() -> None:
    found = [(p.name, text) for p in SOURCES if p.suffix == ".py" for text in decisions(p) if CORE_NAME.search(text)]
    assert found == []
    attributes = re.compile(r"core\.name\s*(==|!=|in\b)|\.get\(\s*(\w+\.)*core\.name|\[\s*(\w+\.)*core\.name")
    assert [p.name for p in SOURCES if attributes.search(p.read_text())] == []


def test_nothing_but_toolchains_and_boards_names_their_programs_and_flags() -> None:
    assert [(p.name, m[0]) for p in SOURCES for m in TOOL_NAME.finditer(p.read_text())] == []


def test_factories_dont_ask_whether_they_apply() -> None:
    """That is said where they are registered: asking for a feature and returning None is the same in hiding."""
    guard = re.compile(r"if [^\n]*core\.has\([^\n]*\n\s+return None")
    assert [p.name for p in (ROOT / "tinycompile" / "kernels").glob("*.py") if guard.search(p.read_text())] == []


def test_every_board_says_what_its_core_has() -> None:
    for board in all_boards().values():
        core = board.core
        assert core.features.issuperset(board.toolchain.architectures[core.arch]) and core.pipeline
        assert core.features.issubset(FEATURES)


OLD = {
    "stm32f746": 'name = "cortex-m7"\ndsp = true\nfpu = true\nschedule = "m7"\n',
    "nrf52840": 'name = "cortex-m4"\ndsp = true\nfpu = true\nschedule = "m4"\n',
    "stm32f103": 'name = "cortex-m3"\ndsp = false\nfpu = false\nschedule = "m4"\n',
    "rp2040": 'name = "cortex-m0plus"\n',
    "nrf5340": 'name = "cortex-m33"\ndsp = true\nfpu = true\nschedule = "m4"\n',
}


def rewritten(tmp_path: Path, name: str, before: str, after: str) -> Path:
    """A folder with a copy of a board whose text is changed."""
    shutil.copytree(boards_dir() / name, tmp_path / name)
    file = tmp_path / name / "board.toml"
    text, times = re.subn(before, lambda _: after, file.read_text(), count=1)
    assert times == 1
    file.write_text(text)
    return tmp_path


@pytest.mark.parametrize("name", list(OLD))
def test_boards_of_before_mean_the_same(tmp_path: Path, name: str) -> None:
    path = rewritten(tmp_path, name, r"name = [^\n]*\narch[^\n]*\nfeatures[^\n]*\npipeline[^\n]*\n", OLD[name])
    assert load_board(name, path).core == load_board(name).core


def test_a_core_of_before_that_nobody_listed(tmp_path: Path) -> None:
    """As it was: 32-bit Thumb without what isn't said."""
    old = 'name = "star-mc1"\nfpu = true\nschedule = "m7"\n'
    path = rewritten(tmp_path, "nrf52840", r"name = [^\n]*\narch[^\n]*\nfeatures[^\n]*\npipeline[^\n]*\n", old)
    core = load_board("nrf52840", path).core
    assert (core.name, core.pipeline, core.has("fpu"), core.has("dsp"), core.has("unaligned")) == (
        "star-mc1",
        "m7",
        True,
        False,
        True,
    )


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('arch = "armv7e-m"', 'arch = "armv9-m"', "knows no arch 'armv9-m'; it knows armv6-m"),
        (r'features = \["fpu"\]', 'features = ["fpuu"]', "there is no feature 'fpuu'; features are dsp"),
        (r'features = \["fpu"\]', "features = []\ndsp = true", "dsp is a key of boards without arch"),
        ('pipeline = "m4"\n', "", "no 'pipeline'"),
        (r"\[core\]", 'toolchain = "gcc-for-z80"\n[core]', "unknown toolchain 'gcc-for-z80'"),
    ],
)
def test_a_wrong_core_is_explained(tmp_path: Path, before: str, after: str, message: str) -> None:
    path = rewritten(tmp_path, "nrf52840", before, after)
    with pytest.raises(TargetError, match=re.escape(message)):
        load_board("nrf52840", path)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('kind = "firmware"', 'kind = "hardware"', "kind is firmware or host"),
        ('entry = "Reset_Handler"\n', "", "no 'entry'"),
        ("startup.c", "start.c", "there is no source '../common/start.c'"),
        (r'aligned = \["-mno-unaligned-access"\]', 'aligned = "-mno-unaligned-access"', "a list of strings"),
    ],
)
def test_a_wrong_toolchain_is_explained(tmp_path: Path, before: str, after: str, message: str) -> None:
    shutil.copytree(boards_dir() / "toolchains", tmp_path / "toolchains")
    file = tmp_path / "toolchains" / "arm-none-eabi.toml"
    text, times = re.subn(before, lambda _: after, file.read_text(), count=1)
    assert times == 1
    file.write_text(text)
    with pytest.raises(TargetError, match=re.escape(message)):
        load_toolchain("arm-none-eabi", tmp_path)


def test_kernels_are_offered_to_cores_that_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    site = site_of(Reshape((4,)), [int8((2, 2))], [None], int8(()))
    kernels_of(site, Core("any", "any"))  # loads every module
    from tinycompile.kernels import base

    monkeypatch.setattr(base, "_FACTORIES", {})

    @kernel_for(Reshape, needs={"dsp", "fpu"})
    def fast(site: Site, core: Core) -> Kernel:
        return Kernel("fast", None)

    @kernel_for(Reshape, unless={"dsp"})
    def slow(site: Site, core: Core) -> Kernel:
        return Kernel("slow", None)

    def variants(*features: str) -> list[str]:
        return [kernel.variant for kernel in kernels_of(site, Core("any", "any", frozenset(features)))]

    assert variants() == variants("fpu") == ["slow"]
    assert variants("dsp") == [] and variants("dsp", "fpu") == ["fast"]
    with pytest.raises(ValueError, match="no feature 'dps'"):
        kernel_for(Reshape, needs={"dps"})
    with pytest.raises(ValueError, match="no feature 'dps'"):
        Core("any", "any").has("dps")


def test_a_toolchain_of_the_users_comes_with_the_boards(tmp_path: Path) -> None:
    """Also with a board of ours that it's used for in place of our own."""
    folder = tmp_path / "boards" / "toolchains"
    folder.mkdir(parents=True)
    text = (boards_dir() / "toolchains" / "arm-none-eabi.toml").read_text()
    (folder / "arm-none-eabi.toml").write_text(text.replace('prefix = "arm-none-eabi-"', 'prefix = "arm-own-"'))
    board = load_board("stm32f746", tmp_path / "boards")
    assert board.compiler == "arm-own-gcc" and board.stand_in is not None
    copy_boards(tmp_path / "boards", tmp_path / "out", board, board.stand_in)
    assert load_board("stm32f746", tmp_path / "out").compiler == "arm-own-gcc"


def test_targets_know_nothing_of_kernels() -> None:
    imports = re.compile(r"^\s*(?:from|import) tinycompile\.(\w+)", re.MULTILINE)
    texts = [file.read_text() for file in (ROOT / "tinycompile" / "targets").glob("*.py")]
    assert {name for text in texts for name in imports.findall(text)} == {"errors", "resources", "targets"}
