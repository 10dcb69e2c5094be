"""Which layer an address belongs to: by the line of the generated C's `<model>_infer` that it was compiled from."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path

from tinycompile.errors import ToolFailedError
from tinycompile.targets import Toolchain
from tinycompile.toolchain import require, run

_LAYER = re.compile(r"\s*/\* (\d+): [\w ]+(?: \+ [\w ]+)* \"")
_STAGE = re.compile(r"\s*/\* Layers \d+ to \d+, ")
_CORE = re.compile(r"(\s*)if \(core (!=|==) ([01])\) {")
_CHUNK = 2000


def layer_lines(source: str, model: str) -> dict[int, int]:
    """Line number (from 1) to layer, inside `<model>_infer` of the generated C.

    What comes before the first layer of a stage and after the last layer has none.
    """
    found, inside, layer = dict[int, int](), False, -1
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith(f"static {model}_status {model}_infer("):
            inside = True
        elif inside and line.startswith("}"):
            break
        elif inside and (match := _LAYER.match(line)):
            layer = int(match[1])
        elif inside and (_STAGE.match(line) or line.lstrip().startswith("return")):
            layer = -1
        if inside and layer >= 0:
            found[number] = layer
    return found


def core_lines(source: str, model: str) -> dict[int, int]:
    """Line number (from 1) to the core that alone executes it where there are two, inside `<model>_infer`."""
    found, inside, block = dict[int, int](), False, None
    for number, line in enumerate(source.splitlines(), 1):
        if line.startswith(f"static {model}_status {model}_infer("):
            inside = True
        elif inside and line.startswith("}"):
            break
        elif inside and (match := _CORE.match(line)):
            block = match[1] + "}", int(match[3]) if match[2] == "==" else 1 - int(match[3])
        elif block is not None and line.startswith(block[0]):
            block = None
        if block is not None:
            found[number] = block[1]
    return found


def layers_of(elf: Path, folder: Path, model: str, addresses: Collection[int], toolchain: Toolchain) -> dict[int, int]:
    """Address to layer, for addresses of `<model>_invoke` and `<model>_infer`; those of no layer are left out.

    Inlined functions count for the line that calls them.

    Args:
        toolchain: that the ELF was made with.

    Raises:
        ToolFailedError: the firmware has no line numbers.
    """
    found = _by_line(layer_lines, elf, folder, model, addresses, toolchain)
    if addresses and not found:
        raise ToolFailedError(
            "no layer was recognised in the firmware",
            where=str(elf),
            why="its debugging information has no line of the layers' calls",
            hint="compile it with -g, as the generated Makefile does",
        )
    return found


def cores_of(elf: Path, folder: Path, model: str, addresses: Collection[int], toolchain: Toolchain) -> dict[int, int]:
    """Address to the core that alone executes it, as `layers_of`."""
    return _by_line(core_lines, elf, folder, model, addresses, toolchain)


def _by_line(
    lines_of: Callable[[str, str], dict[int, int]],
    elf: Path,
    folder: Path,
    model: str,
    addresses: Collection[int],
    toolchain: Toolchain,
) -> dict[int, int]:
    files = (folder / f"{model}{end}" for end in (".c", "_inference.h"))  # the latter of one width of a network
    source = next(file for file in files if file.exists())
    lines = lines_of(source.read_text(), model)
    found, ordered = dict[int, int](), sorted(addresses)
    for start in range(0, len(ordered), _CHUNK):
        for address, chain in _lines(elf, source.name, ordered[start : start + _CHUNK], toolchain).items():
            layers = [lines[line] for line in chain if line in lines]
            if layers:
                found[address] = layers[-1]
    return found


def _lines(elf: Path, file: str, addresses: list[int], toolchain: Toolchain) -> dict[int, list[int]]:
    """Address to lines of `file`: of the innermost inlined function first.

    GCC may split a function and inline a part of it into the rest, so that the outermost isn't always the layer's.
    """
    command = [
        require(toolchain.tool("addr2line"), toolchain),
        "-a",
        "-i",
        "-e",
        str(elf.resolve()),
        *map(hex, addresses),
    ]
    found, address = dict[int, list[int]](), -1
    for line in run(command, cwd=elf.parent).splitlines():
        if line.startswith("0x"):
            address = int(line, 16)
        elif (match := re.search(r"([^/\\:]+):(\d+)", line)) and match[1] == file:
            found.setdefault(address, []).append(int(match[2]))
    return found
