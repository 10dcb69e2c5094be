"""A kernel whose constants are coded in flash, and decoded to scratch before it reads them.

Lossless: bytes that occur often get short codes (`numerics/prefix_code.py`), or few different ones indices into tables
(`table_coded.py`). It costs some instructions for each byte of a call, whatever the kernel does with it: little where a
weight is multiplied by many pixels, most of the time where it is used once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinycompile.ir import Array
from tinycompile.kernels.base import Coding, Constant, Deferred, Function, Kernel, Sweeps
from tinycompile.kernels.generic_c import names_of
from tinycompile.kernels.work import Work
from tinycompile.numerics.prefix_code import BYTES, LONGEST, coded, coded_words, entropy
from tinycompile.numerics.table_code import Tables, smallest_code

HEADERS = ("kernels/tc_coded.h",)
TABLE_HEADER = "kernels/tc_table_coded.h"

SMALLEST = 512
"""Bytes of an array that is worth a code: lengths alone take 128."""

TABLE_BYTES = 2 << LONGEST
"""Of scratch while something is decoded."""

TABLE = Work(7000, 6000)
"""To make the table of a code; measured, with 60 to 250 bytes that have one."""

THREE = Work(37, 32)
"""To decode three bytes: counted from the assembly, in whose chains of loads and shifts there is little to do side by
side. Cores without Thumb-2 take a quarter more."""

MORE = 0.05
"""Of a prefix code's bytes, which indices may take more."""

ENTRY = Work(6, 6)
"""To make an entry of the table of two indices; these and the next counted from the assembly."""

INDICES = {4: Work(16, 13), 2: Work(28, 24)}
"""To decode a word of indices, by the bits of each."""

PLAIN, RUN = Work(4, 4), Work(45, 45)
"""To copy a word that has none; to begin a run."""


@dataclass(frozen=True)
class Code:
    """A constant array in a code.

    Attributes:
        header: of the functions that decode it.
        table_bytes: of scratch while it is decoded.
        tables: the further arguments of `tc_table_coded.h`; None for a prefix code.
        work: to decode all of it.
    """

    constant: Constant
    coding: Coding
    header: str
    table_bytes: int
    tables: Tables | None
    work: Work

    @staticmethod
    def prefix(plain: Constant) -> Code | None:
        """None where a code makes it no smaller, or where layers share it."""
        if not _may_be_coded(plain):
            return None
        counts = np.bincount(_bytes_of(plain), minlength=BYTES)
        words = coded_words(counts)
        if 4 * words >= plain.bytes:
            return None
        values = Deferred(words, np.uint32, lambda: coded(_bytes_of(plain)))
        comment = f"prefix code of {plain.bytes:,} bytes: {plain.comment}"
        work = TABLE + -(-plain.bytes // 3) * THREE
        constant = Constant(plain.suffix, "uint32_t", values, comment)
        return Code(constant, _coding(plain, 4 * words, counts), HEADERS[0], TABLE_BYTES, None, work)

    @staticmethod
    def table(plain: Constant, piece: int | None = None) -> Code | None:
        """The smallest of indices into tables; None where none is smaller, or where layers share the array.

        Args:
            piece: bytes, a multiple of 4, that are decoded at a time.
        """
        if not _may_be_coded(plain):
            return None
        data = _bytes_of(plain)
        found = smallest_code(np.pad(data, (0, -data.size % 4)), piece)
        if found is None or 4 * found.words.size >= plain.bytes:
            return None
        words, tables = found.words, found.tables
        comment = f"indices of {tables.bits} bits for {plain.bytes:,} bytes: {plain.comment}"
        entries = 1 << 2 * tables.bits
        work = entries * ENTRY + found.runs * RUN + found.indices * INDICES[tables.bits] + found.plain * PLAIN
        coding = _coding(plain, 4 * words.size, np.bincount(data, minlength=BYTES))
        constant = Constant(plain.suffix, "uint32_t", words, comment)
        return Code(constant, coding, TABLE_HEADER, 2 * entries, tables, work)

    @property
    def words(self) -> int:
        return self.constant.bytes // 4

    def call(self, name: str, place: str) -> str:
        """The statement that decodes all of it, its table at the beginning of scratch."""
        size, table = self.coding.plain_bytes, "(uint16_t *)scratch"
        if self.tables is None:
            return f"tc_coded_all({name}, {self.words}u, {place}, {size}u, {table});"
        form = f"{self.tables.bits}u, {int(self.tables.signed)}u"
        return f"tc_table_coded_all({name}, {self.words}u, {place}, {size}u, {form}, {table});"


def codes_of(table: Code | None, prefix: Code | None) -> list[Code]:
    """Those of two codes of the same array that are worth offering, the fastest first, the smallest last.

    Indices are decoded several times as fast as a prefix code, which is worth `MORE` bytes even where nothing else
    says what flash is worth.
    """
    if table is None or prefix is None:
        return [code for code in (table, prefix) if code is not None]
    if table.coding.coded_bytes > (1 + MORE) * prefix.coding.coded_bytes:
        return [prefix]
    return [table] if table.coding.coded_bytes <= prefix.coding.coded_bytes else [table, prefix]


def _may_be_coded(plain: Constant) -> bool:
    return plain.bytes >= SMALLEST and not plain.of_shapes


def _coding(plain: Constant, size: int, counts: Array) -> Coding:
    return Coding(plain.bytes, size, -(-int(np.ceil(entropy(counts))) // 8))


def _bytes_of(constant: Constant) -> Array:
    return np.ascontiguousarray(constant.values).view(np.uint8).ravel()


def coded_kernels(kernel: Kernel) -> list[Kernel]:
    """The kernel with its constants coded, all of them in scratch while it works: the fastest codes, the smallest."""
    if kernel.function is None or kernel.alias_of is not None or kernel.coding is not None:
        return []
    found = [codes_of(Code.table(each), Code.prefix(each)) for each in kernel.constants]
    if not any(found):
        return []
    fastest, smallest = ([codes[end] if codes else None for codes in found] for end in (0, -1))
    made = [_coded(kernel, kernel.function, fastest)]
    return made if smallest == fastest else [*made, _coded(kernel, kernel.function, smallest)]


def _coded(kernel: Kernel, function: Function, codes: Sequence[Code | None]) -> Kernel:
    found = [code for code in codes if code is not None]
    coding, work = found[0].coding, found[0].work
    for code in found[1:]:
        coding, work = coding + code.coding, work + code.work
    size = sum(_room(code.coding.plain_bytes) for code in found)
    notes = {**kernel.notes, "weights": f"{coding}, decoded to {size:,} bytes of RAM"}
    return replace(
        kernel,
        variant=variant_of(kernel.variant, found),
        function=_function(kernel, function, codes),
        constants=tuple(
            constant if code is None else code.constant for constant, code in zip(kernel.constants, codes, strict=True)
        ),
        scratch_bytes=_first(kernel, found) + size,
        instructions=kernel.instructions + work.instructions,
        cycles=None if kernel.cycles is None else kernel.cycles + work.cycles,
        code_bytes=kernel.code_bytes + 40 + 24 * len(found),
        sweeps=Sweeps(1),
        coding=coding,
        notes=notes,
    )


def _room(size: int) -> int:
    return -(-size // 8) * 8


def variant_of(variant: str, codes: Sequence[Code]) -> str:
    """The name of a kernel with codes."""
    return f"{variant}_coded" if any(code.tables is None for code in codes) else f"{variant}_table_coded"


def _first(kernel: Kernel, codes: Sequence[Code]) -> int:
    """Where in scratch the decoded arrays begin: before them the table, then what the kernel does with its scratch."""
    return _room(max(kernel.scratch_bytes, *(code.table_bytes for code in codes)))


def _function(kernel: Kernel, function: Function, codes: Sequence[Code | None]) -> Function:
    """Decodes, then calls the kernel's own function."""
    own = function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")
    first = len(own) - 1 - len(kernel.constants)
    arguments, lines = names_of(function.parameters), list[str]()
    found = [code for code in codes if code is not None]
    parameters, at = list(own), _first(kernel, found)
    for position, (constant, code) in enumerate(zip(kernel.constants, codes, strict=True), first):
        if code is not None:
            name, place, size = arguments[position], f"(uint8_t *)scratch + {at}", code.coding.plain_bytes
            parameters[position] = f"const uint32_t *{name}"
            arguments[position] = f"(const {constant.ctype} *)(const void *)({place})"
            lines.append(f"    {code.call(name, place)}")
            at += _room(size)
    kind = "coded" if any(code.tables is None for code in found) else "table_coded"
    return Function(
        f"{kind}_{function.stem}",
        tuple(parameters),
        "\n".join([*lines, f"    $0({', '.join(arguments)});"]) + "\n",
        tuple(dict.fromkeys(code.header for code in found)),
        "Decodes constants to RAM, from where they are read.",
        callees=(function,),
    )
