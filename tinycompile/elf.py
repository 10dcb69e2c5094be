"""Sizes read from the linked firmware, and the worst-case stack from the compiler's call graph."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from tinycompile.errors import ToolFailedError
from tinycompile.targets import Toolchain

_SHF_WRITE, _SHF_ALLOC = 1, 2

COPIED_SECTIONS = ".fast_"
"""Beginning of the names of sections that take flash and RAM: start-up copies code or weights to the latter."""

LIBRARY_STACK_BYTES = 32
"""Deepest stack of newlib's memcpy, memmove and memset and of most of libgcc, which come without a call graph."""

_DEEPER_LIBRARY = (
    (re.compile(r"__aeabi_u?ldivmod|__u?(div|mod)(mod)?di[34]"), 56, 56, 112),
    (re.compile(r"__aeabi_(u?l2[fd]|[fd]2u?lz)|__float(un)?di[sd]f|__fixun?s?[sd]fdi"), 64, 64, 112),
    (re.compile(r"__aeabi_(d\w+|[a-z]+2d)|__\w+df[23]|__float\w*df|__fix\w*df\w+"), 32, 32, 80),
    (re.compile(r"(sin|cos)f"), 488, 552, 568),
    (re.compile(r"exp|powf"), 104, 112, 152),
    (re.compile(r"(log10|erfc?|atan2|fmod)f"), 64, 104, 112),
    (re.compile(r"(exp|expm1|log|log1p|tanh|sqrt|rint|floor|ceil)f"), 32, 88, 88),
)
"""Functions of libgcc and libm that take more: bytes on cores with an FPU, on others with 32-bit instructions, and on
those with 16-bit instructions only. Some call others: 64-bit numbers are divided by C, and a sine of a large number has
a remainder by pi first. `tests/test_tools.py` compares with the library's instructions."""


def library_stack(function: str, thumb1: bool, usual: int = LIBRARY_STACK_BYTES, *, fpu: bool = False) -> int:
    """Bytes of stack that a library function can use, with what it calls; at least the toolchain's `usual`."""
    for names, hardware, large, small in _DEEPER_LIBRARY:
        if names.fullmatch(function):
            return max(usual, hardware if fpu else small if thumb1 else large)
    return usual


@dataclass(frozen=True)
class Sizes:
    """Bytes in the ELF.

    Attributes:
        flash: what is stored: code, constants and initial values of data.
        copied: of sections that start-up copies to RAM, by name; in `flash` and in `ram`.
        functions: code of each function by its name in C; what the compiler made of it in several parts is one.
    """

    flash: int
    weights: int
    ram: int
    functions: Mapping[str, int] = field(default_factory=dict[str, int])
    copied: Mapping[str, int] = field(default_factory=dict[str, int])


def check_machine(elf: Path, toolchain: Toolchain) -> None:
    """The ELF is for what the toolchain's file says.

    Raises:
        ToolFailedError: it's for another machine; everything read from it would be wrong.
    """
    with elf.open("rb") as file:
        machine = str(ELFFile(file)["e_machine"])
    if machine != toolchain.machine:
        raise ToolFailedError(
            f"{toolchain.tool('compiler')} makes code for {machine}",
            where=str(toolchain.file),
            why=f"[elf] says machine = {toolchain.machine!r}",
            hint="correct the one or the other",
        )


def sizes(elf: Path, weight_symbols: Collection[str], stored: tuple[str, ...] = ()) -> Sizes:
    """Flash and RAM of an ELF, and the bytes of the named constant arrays.

    Args:
        stored: beginnings of the names of sections that take flash though they hold no program bits.
    """
    wanted, flash, ram, weights = set(weight_symbols), 0, 0, 0
    functions, copied = Counter[str](), dict[str, int]()
    with elf.open("rb") as file:
        image = ELFFile(file)
        for section in image.iter_sections():
            if not section["sh_flags"] & _SHF_ALLOC:
                continue
            if section["sh_flags"] & _SHF_WRITE or section.name.startswith(COPIED_SECTIONS):
                ram += section["sh_size"]
            if section.name.startswith(COPIED_SECTIONS):
                copied[section.name] = section["sh_size"]
            if section["sh_type"] == "SHT_PROGBITS" or section.name.startswith(stored):
                flash += section["sh_size"]
        table = image.get_section_by_name(".symtab")
        if isinstance(table, SymbolTableSection):
            for symbol in table.iter_symbols():
                weights += symbol["st_size"] if symbol.name in wanted else 0
                if symbol["st_info"]["type"] == "STT_FUNC":
                    functions[symbol.name.partition(".")[0]] += symbol["st_size"]
    return Sizes(flash, weights, ram, functions, copied)


def bytes_with_prefix(elf: Path, prefix: str) -> int:
    """Bytes of code and constants whose names begin like this."""
    found = dict[int, int]()
    with elf.open("rb") as file:
        image = ELFFile(file)
        table = image.get_section_by_name(".symtab")
        for symbol in table.iter_symbols() if isinstance(table, SymbolTableSection) else ():
            kind, where = symbol["st_info"]["type"], symbol["st_shndx"]
            its = kind in ("STT_FUNC", "STT_OBJECT") and isinstance(where, int) and symbol.name.startswith(prefix)
            if its and not image.get_section(where)["sh_flags"] & _SHF_WRITE:
                found[symbol["st_value"]] = symbol["st_size"]
    return sum(found.values())


def sections(elf: Path) -> dict[str, tuple[int, int]]:
    """(address, bytes) of each section that is in memory when the firmware runs, by name."""
    with elf.open("rb") as file:
        found = [section for section in ELFFile(file).iter_sections() if section["sh_flags"] & _SHF_ALLOC]
        return {section.name: (int(section["sh_addr"]), int(section["sh_size"])) for section in found}


def symbol_values(elf: Path, *names: str) -> list[int]:
    """Values of symbols.

    Raises:
        ValueError: there is none of a name.
    """
    with elf.open("rb") as file:
        table = ELFFile(file).get_section_by_name(".symtab")
        symbols = table.iter_symbols() if isinstance(table, SymbolTableSection) else ()
        values = {symbol.name: int(symbol["st_value"]) for symbol in symbols}
    missing = [name for name in names if name not in values]
    if missing:
        raise ValueError(f"{elf} has no symbol {missing[0]}")
    return [values[name] for name in names]


def function_ranges(elf: Path, name: str, inner: str = "") -> list[tuple[int, int]]:
    """Addresses [begin, end) of a function, then of the parts of it that GCC made functions of their own.

    Args:
        inner: another function that counts as such a part, if the ELF has it.

    Raises:
        ValueError: there is none of that name.
    """
    with elf.open("rb") as file:
        image = ELFFile(file)
        table, low = image.get_section_by_name(".symtab"), _MODE_BITS.get(image["e_machine"], 0)
        symbols = list(table.iter_symbols()) if isinstance(table, SymbolTableSection) else []
    suffixes = r"(\.(part|cold|constprop|isra)[.\d]*)"
    parts = re.compile(rf"{re.escape(name)}{suffixes}+$" + (rf"|{re.escape(inner)}{suffixes}*$" if inner else ""))
    found = [
        (symbol["st_value"] & ~low, symbol["st_size"], symbol.name != name)
        for symbol in symbols
        if symbol["st_info"]["type"] == "STT_FUNC" and (symbol.name == name or parts.match(symbol.name))
    ]
    if not any(not part for *_, part in found):
        raise ValueError(f"{elf} has no function {name}")
    return [(begin, begin + size) for begin, size, _ in sorted(found, key=lambda f: (f[2], f[0]))]


_MODE_BITS = {"EM_ARM": 1}
"""Bits of a function's address that aren't: the lowest says that it's Thumb code."""


def _thumb_bytes(first: int) -> int:
    return 4 if first >> 11 >= 0b11101 else 2


def _riscv_bytes(first: int) -> int:
    return 4 if first & 3 == 3 else 2


_INSTRUCTION_BYTES = {"EM_ARM": _thumb_bytes, "EM_RISCV": _riscv_bytes}
"""By ELF machine: an instruction's length, from its first 16 bits."""


def machine_code(elf: Path, blocks: Collection[tuple[int, int]]) -> list[bytes]:
    """The code of each block of (address, number of instructions), where the firmware finds it when it runs.

    Raises:
        ValueError: an address that nothing of the ELF is loaded to, or a machine with unknown instructions.
    """
    with elf.open("rb") as file:
        image = ELFFile(file)
        length_of = _INSTRUCTION_BYTES.get(image["e_machine"])
        if length_of is None:
            raise ValueError(f"{elf} is for {image['e_machine']}, whose instructions aren't known")
        segments = [s for s in image.iter_segments() if s["p_type"] == "PT_LOAD"]
        loaded = [(segment["p_vaddr"], segment.data()) for segment in segments]
    found = list[bytes]()
    for address, instructions in blocks:
        data = next((d[address - begin :] for begin, d in loaded if begin <= address < begin + len(d)), b"")
        length = 0
        for _ in range(instructions):
            if length + 2 > len(data):
                raise ValueError(f"{elf} has no code at {address + length:#x}")
            length += length_of(int.from_bytes(data[length : length + 2], "little"))
        found.append(data[:length])
    return found


_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')


def worst_case_stack(
    call_graphs: Collection[Path],
    root: str,
    library_bytes: int = LIBRARY_STACK_BYTES,
    *,
    thumb1: bool = False,
    fpu: bool = False,
    deeper: Mapping[str, int] = {},
) -> int:
    """Bytes of stack that `root` and everything it calls can use, from GCC's `-fcallgraph-info=su` files.

    A call through a pointer may be to any function of the same source file whose address is used, by the object file
    beside the call graph, or to assembly without a frame that GCC knows of, which takes no more than the library.

    Args:
        root: a function, or its title in a call graph where several static ones have a name.
        library_bytes: of functions that have no call graph, unless they are known to take more.
        thumb1: for a core with 16-bit instructions only, on which libgcc needs more.
        fpu: for a core with float32 in hardware, on which libm needs less.
        deeper: by a regular expression of their names, functions of this toolchain's libraries that take more.

    Raises:
        ValueError: recursion, a dynamic frame, or a missing root; the generated code has none of these.
    """
    frame, calls = dict[str, int](), dict[str, set[str]]()
    for path in call_graphs:
        text = path.read_text()
        frame.update(_frames(text))
        for source, target in _EDGE.findall(text):
            indirect = target == _INDIRECT and path.with_suffix(".o").exists()
            calls.setdefault(source, set()).add(f"{path}:{target}" if indirect else target)
            if indirect and f"{path}:{target}" not in frame:
                frame[f"{path}:{target}"] = 0
                names = _pointed_to(path.with_suffix(".o"))
                found = {title for title in re.findall(r'node: \{ title: "([^"]+)"', text) if _plain(title) in names}
                calls[f"{path}:{target}"] = {_INDIRECT, *found}
    roots = [title for title in frame if root in (title, _plain(title))]
    if not roots:
        raise ValueError(f"no stack usage of {root} was recorded")
    for callee in {callee for callees in calls.values() for callee in callees} - set(frame):
        known = [size for names, size in deeper.items() if re.fullmatch(names, callee)]
        frame[callee] = max([library_stack(callee, thumb1, library_bytes, fpu=fpu), *known])
    return max(_deepest(title, frame, calls, ()) for title in roots)


def frame_bytes(call_graphs: Iterable[Path], function: str) -> int | None:
    """Bytes of stack that a function alone takes; None where none of this name was compiled."""
    frames = [_frames(path.read_text()) for path in call_graphs]
    return next((size for found in frames for title, size in found.items() if _plain(title) == function), None)


def _frames(text: str) -> dict[str, int]:
    """Of a call graph's functions, by their titles. Raises ValueError: one has a dynamic frame."""
    found = dict[str, int]()
    for title, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
        size = re.search(r"(\d+) bytes \(([a-z,]+)\)", label)  # none of a function that is only declared
        if size is not None and size[2] in ("static", "dynamic,bounded"):
            found[title] = int(size[1])
        elif size is not None:
            raise ValueError(f"{title} has a stack frame of unknown size")
    return found


def _plain(title: str) -> str:
    """The symbol of a call graph's node: those of static functions have the source file in front."""
    return title.rpartition(":")[2]


_INDIRECT = "__indirect_call"
"""GCC's node for whatever a pointer points to."""

_JUMPS = {"EM_ARM": {10, 28, 29, 30, 51, 102, 103}, "EM_RISCV": {16, 17, 18, 19, 44, 45}}
"""Relocations of calls and branches, by their numbers in elf.h (`R_ARM_THM_CALL`, `R_RISCV_JAL` ...)."""


def _pointed_to(object_file: Path) -> set[str]:
    """Functions whose address is used for more than a call or a jump, of what is loaded.

    None in object files of other machines than `_JUMPS` has: those of this one have other layouts and name sections in
    the place of static functions, and no stack of ours is sized for them.
    """
    found = set[str]()
    with object_file.open("rb") as file:
        image = ELFFile(file)
        jumps, table = _JUMPS.get(image["e_machine"]), image.get_section_by_name(".symtab")
        if jumps is None or not isinstance(table, SymbolTableSection):
            return found
        # Elf32_Sym has 16 bytes, of which the 13th says what it is: 2 is STT_FUNC.
        kinds = np.frombuffer(table.data(), np.uint8).reshape(-1, 16)[:, 12] & 15
        functions = {i: table.get_symbol(i).name for i in np.flatnonzero(kinds == 2).tolist()}
        for section in image.iter_sections():
            if not isinstance(section, RelocationSection):
                continue
            target = image.get_section(section["sh_info"])
            if target["sh_flags"] & _SHF_ALLOC and not target.name.startswith((".ARM.ex", ".eh_frame")):
                # Elf32_Rel and Elf32_Rela begin with r_offset and r_info: the symbol's index, and 8 bits of type.
                words = np.frombuffer(section.data(), "<u4").reshape(-1, section["sh_entsize"] // 4)
                used = {(info >> 8, info & 0xFF) for info in np.unique(words[:, 1]).tolist()}
                found |= {functions[symbol] for symbol, kind in used if symbol in functions and kind not in jumps}
    return found


def _deepest(function: str, frame: Mapping[str, int], calls: Mapping[str, set[str]], path: tuple[str, ...]) -> int:
    callees = calls.get(function, set())
    if function.endswith(f":{_INDIRECT}"):
        # A function that it may be is on the way here, and isn't meant.
        callees = callees.difference(path)
    elif function in path:
        raise ValueError(f"recursion through {function}")
    return frame[function] + max((_deepest(callee, frame, calls, (*path, function)) for callee in callees), default=0)
