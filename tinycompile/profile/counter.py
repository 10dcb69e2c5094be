"""Counts what runs in a function of the firmware, with a plugin for QEMU that this machine's compiler builds once."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tinycompile.build import Build
from tinycompile.disk_cache import cache_folder
from tinycompile.elf import function_ranges, machine_code
from tinycompile.emulator import Execution, execute
from tinycompile.errors import ToolFailedError
from tinycompile.ir import Array
from tinycompile.profile.waiting import Simulation, options_of, parse, regions_of
from tinycompile.temporary import TemporaryFolder
from tinycompile.toolchain import require, run, version

_SOURCE, CACHES = Path(__file__).with_name("plugin.c"), Path(__file__).with_name("caches.c")
_SHARED = Path(__file__).with_name("inside.h")
_VERSION_2_SINCE = 9
"""QEMU's first release that refuses plugins for version 1 of its interface; the declarations in use are the same."""


@dataclass(frozen=True)
class Block:
    """A run of instructions without a branch in between, as QEMU translates it."""

    address: int
    code: bytes
    instructions: int

    @property
    def end(self) -> int:
        return self.address + len(self.code)


@dataclass(frozen=True)
class Pair:
    """How often a block ran right after another.

    Attributes:
        site: return address of the call by which the function was left, 0 in the function itself.
        before: None at its entry.
    """

    site: int
    before: Block | None
    block: Block
    count: int


@dataclass(frozen=True)
class Counts:
    """Of one run."""

    pairs: tuple[Pair, ...]
    execution: Execution
    caches: Simulation | None


def count(build: Build, elf: Path, function: str, samples: Sequence[Array], inner: str = "") -> Counts:
    """Run the firmware on the samples and count every block of `function` and of what it calls.

    Where the board's memories make the core wait, its caches are simulated in the same run.

    Args:
        inner: a function that counts as a part of `function`, which alone calls it.

    Raises:
        ToolMissingError: no C compiler or no QEMU. ToolFailedError: a QEMU without plugins, or the firmware failed.
    """
    ranges = function_ranges(elf, function, inner)
    qemu = require(build.emulated.toolchain.emulator, build.emulated.toolchain)
    places = [f"range={begin:#x}-{end:#x}" for begin, end in ranges]
    regions = () if build.board.memory_system.is_free else regions_of(build)
    with TemporaryFolder("profile") as name:
        out, caches = Path(name) / "counts.txt", Path(name) / "caches.txt"
        plugins = [_argument(plugin(qemu), places, out)]
        if regions:
            plugins.append(_argument(plugin(qemu, CACHES), [*places, *options_of(build.board, regions)], caches))
        try:
            prefix = build.report["io_prefix"]
            execution = execute(
                elf, build.emulated, samples, build.outputs, prefix=prefix, plugins=plugins, images=build.images
            )
        except ToolFailedError as error:
            if "-plugin" in error.why and "invalid option" in error.why:
                hint = "install a QEMU that was configured with --enable-plugins, such as Debian's"
                raise ToolFailedError("this QEMU takes no plugins", why=error.why, hint=hint) from error
            raise
        for file in (out, *([caches] if regions else [])):
            if not file.exists():
                raise ToolFailedError("a plugin of the profile wrote nothing", where=qemu)
        return Counts(_pairs(out.read_text(), elf), execution, parse(caches.read_text(), regions) if regions else None)


def _argument(library: Path, options: Sequence[str], out: Path) -> str:
    """A plugin as QEMU takes it."""
    return ",".join([_escaped(str(library)), *options, f"out={_escaped(str(out))}"])


def plugin(qemu: str, source: Path = _SOURCE) -> Path:
    """A plugin as a shared library, from the user's cache folder or compiled into it.

    Raises:
        ToolMissingError, ToolFailedError: no C compiler, or it failed.
    """
    found = re.search(r"version (\d+)", version(qemu))
    interface = 2 if found is not None and int(found[1]) >= _VERSION_2_SINCE else 1
    digest = hashlib.sha256(source.read_bytes() + _SHARED.read_bytes()).hexdigest()[:16]
    folder = _cache()
    library = folder / f"plugin-{digest}-{os.uname().machine}-{interface}.so"
    if library.exists():
        return library
    handle, name = tempfile.mkstemp(prefix=".plugin.", suffix=".so", dir=folder)
    os.close(handle)
    undefined: list[str] = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    command = [require("cc"), "-std=c99", "-O2", "-fPIC", "-shared", f"-DPLUGIN_VERSION={interface}", *undefined]
    try:
        run([*command, str(source), "-o", name], cwd=folder)
        os.replace(name, library)
    finally:
        Path(name).unlink(missing_ok=True)
    return library


def _cache() -> Path:
    """A folder to keep the plugin in; a fresh one where the user has none that can be written."""
    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.mkdtemp(prefix="tinycompile-plugin-"))
    return folder if os.access(folder, os.W_OK) else Path(tempfile.mkdtemp(prefix="tinycompile-plugin-"))


def _escaped(text: str) -> str:
    """QEMU's options are separated by commas."""
    return text.replace(",", ",,")


def _pairs(text: str, elf: Path) -> tuple[Pair, ...]:
    lines = [line.split() for line in text.splitlines()]
    shapes = {int(number): (int(address, 16), int(size)) for _, number, address, size in _of("block", lines)}
    used = sorted({int(number) for _, _, *both, _ in _of("pair", lines) for number in both} - {-1})
    code = machine_code(elf, [shapes[number] for number in used])
    blocks = {
        number: Block(shapes[number][0], data, shapes[number][1]) for number, data in zip(used, code, strict=True)
    }
    return tuple(
        Pair(int(site, 16), blocks.get(int(before)), blocks[int(number)], int(times))
        for _, site, before, number, times in _of("pair", lines)
    )


def _of(kind: str, lines: Sequence[list[str]]) -> list[list[str]]:
    return [line for line in lines if line[0] == kind]
