"""What the functions of an object file need: others, tables, the C library; as the linker sees it."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

_ALLOCATED = 2
_PLAIN = re.compile(r"[.]\d+\b|[.](constprop|isra|part|cold)\b")


@dataclass(frozen=True)
class Section:
    """A function or a constant table: the compiler gives each a section of its own.

    Attributes:
        name: of its symbol in C. content: a digest of its bytes. is_code: it is a function.
    """

    name: str
    bytes: int
    content: str
    is_code: bool


@dataclass(frozen=True)
class ObjectFile:
    """What an object file of a 32-bit machine has in memory, a section for each function or table, by its number.

    Attributes:
        uses: the numbers of sections, and the names of what isn't in the file, that each refers to: calls it, or takes
            its address, so that what is called through a pointer is known as well.
    """

    sections: Mapping[int, Section]
    uses: Mapping[int, Set[int | str]]

    @staticmethod
    def read(path: Path) -> ObjectFile:
        sections, uses = dict[int, Section](), defaultdict[int, set[int | str]](set)
        with path.open("rb") as file:
            image: Any = ELFFile(file)
            for number, section in enumerate(image.iter_sections()):
                if section["sh_flags"] & _ALLOCATED and section["sh_size"] and section["sh_type"] == "SHT_PROGBITS":
                    digest = hashlib.sha256(section.data()).hexdigest()[:16]
                    is_code = section.name.startswith(".text")
                    sections[number] = Section(_name_of(section.name), int(section["sh_size"]), digest, is_code)
            table = image.get_section_by_name(".symtab")
            for section in image.iter_sections():
                if not isinstance(section, RelocationSection) or section["sh_info"] not in sections:
                    continue
                # Elf32_Rel and Elf32_Rela begin with r_offset and r_info: the symbol's index, and 8 bits of type.
                words = np.frombuffer(section.data(), "<u4").reshape(-1, section["sh_entsize"] // 4)
                for index in np.unique(words[:, 1] >> 8).tolist() if isinstance(table, SymbolTableSection) else ():
                    symbol: Any = table.get_symbol(index)
                    place: int | str = symbol["st_shndx"]
                    uses[int(section["sh_info"])].add(str(symbol.name) if place == "SHN_UNDEF" else place)
        return ObjectFile(sections, uses)

    def reached(self, function: str) -> tuple[list[Section], list[str]]:
        """The sections of a function and all that it refers to, itself or through others; what isn't in the file."""
        found = self._found(function)
        library = {each for number in found for each in self.uses.get(number, ()) if isinstance(each, str) and each}
        return [self.sections[number] for number in sorted(found)], sorted(library)

    def functions(self, function: str) -> list[str]:
        """A function and all others of these, by their names in C."""
        found = (self.sections[number] for number in self._found(function))
        return list(dict.fromkeys(each.name for each in found if each.is_code))

    def _found(self, function: str) -> list[int]:
        """Numbers of the sections, in an order that follows from names."""
        pending = [number for number, each in self.sections.items() if each.name == function and each.is_code]
        found = dict[int, None]()
        while pending:
            number = pending.pop()
            if number not in found:
                found[number] = None
                used = (each for each in self.uses.get(number, ()) if isinstance(each, int) and each in self.sections)
                pending += sorted(used, key=lambda each: (self.sections[each].name, each))
        return list(found)


def _name_of(section: str) -> str:
    """`.text.add.constprop.0` is add's."""
    return _PLAIN.sub("", re.sub(r"^[.](text|rodata|data)[.]?", "", section))
