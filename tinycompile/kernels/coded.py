"""A kernel whose constants are coded in flash, and decoded to scratch before it reads them.

Lossless: bytes that occur often get short codes (`numerics/prefix_code.py`). It costs some instructions for each byte
of a call, whatever the kernel does with it: little where a weight is multiplied by many pixels, most of the time where
it is used once.
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

HEADERS = ("kernels/tc_coded.h",)

SMALLEST = 512
"""Bytes of an array that is worth a code: lengths alone take 128."""

TABLE_BYTES = 2 << LONGEST
"""Of scratch while something is decoded."""

TABLE = Work(7000, 6000)
"""To make the table of a code; measured, with 60 to 250 bytes that have one."""

THREE = Work(37, 32)
"""To decode three bytes: counted from the assembly, in whose chains of loads and shifts there is little to do side by
side. Cores without Thumb-2 take a quarter more."""


@dataclass(frozen=True)
class Code:
    """A constant array as `tc_coded.h` reads it."""

    constant: Constant
    coding: Coding

    @staticmethod
    def of(plain: Constant) -> Code | None:
        """None where a code makes it no smaller, or where layers share it."""
        if plain.bytes < SMALLEST or plain.of_shapes:
            return None
        counts = np.bincount(_bytes_of(plain), minlength=BYTES)
        words = coded_words(counts)
        if 4 * words >= plain.bytes:
            return None
        values = Deferred(words, np.uint32, lambda: coded(_bytes_of(plain)))
        comment = f"prefix code of {plain.bytes:,} bytes: {plain.comment}"
        coding = Coding(plain.bytes, 4 * words, -(-int(np.ceil(entropy(counts))) // 8))
        return Code(Constant(plain.suffix, "uint32_t", values, comment), coding)

    @property
    def words(self) -> int:
        return self.constant.bytes // 4

    @property
    def work(self) -> Work:
        """To decode all of it."""
        return TABLE + -(-self.coding.plain_bytes // 3) * THREE


def _bytes_of(constant: Constant) -> Array:
    return np.ascontiguousarray(constant.values).view(np.uint8)


def coded_kernel(kernel: Kernel) -> Kernel | None:
    """The kernel with its constants coded, all of them in scratch while it works; None where no code is smaller."""
    if kernel.function is None or kernel.alias_of is not None or kernel.coding is not None:
        return None
    codes = [Code.of(constant) for constant in kernel.constants]
    found = [code for code in codes if code is not None]
    if not found:
        return None
    coding, work = found[0].coding, found[0].work
    for code in found[1:]:
        coding, work = coding + code.coding, work + code.work
    size = sum(_room(code.coding.plain_bytes) for code in found)
    notes = {**kernel.notes, "weights": f"{coding}, decoded to {size:,} bytes of RAM"}
    return replace(
        kernel,
        variant=f"{kernel.variant}_coded",
        function=_function(kernel, kernel.function, codes),
        constants=tuple(
            constant if code is None else code.constant for constant, code in zip(kernel.constants, codes, strict=True)
        ),
        scratch_bytes=_first(kernel) + size,
        instructions=kernel.instructions + work.instructions,
        cycles=None if kernel.cycles is None else kernel.cycles + work.cycles,
        code_bytes=kernel.code_bytes + 40 + 24 * len(found),
        sweeps=Sweeps(1),
        coding=coding,
        notes=notes,
    )


def _room(size: int) -> int:
    return -(-size // 8) * 8


def _first(kernel: Kernel) -> int:
    """Where in scratch the decoded arrays begin: before them the table, then what the kernel does with its scratch."""
    return _room(max(kernel.scratch_bytes, TABLE_BYTES))


def _function(kernel: Kernel, function: Function, codes: Sequence[Code | None]) -> Function:
    """Decodes, then calls the kernel's own function."""
    own = function.parameters if kernel.scratch_bytes else (*function.parameters, "void *scratch")
    first = len(own) - 1 - len(kernel.constants)
    arguments, lines, at = names_of(function.parameters), list[str](), _first(kernel)
    parameters = list(own)
    for position, (constant, code) in enumerate(zip(kernel.constants, codes, strict=True), first):
        if code is not None:
            name, place, size = arguments[position], f"(uint8_t *)scratch + {at}", code.coding.plain_bytes
            parameters[position] = f"const uint32_t *{name}"
            arguments[position] = f"(const {constant.ctype} *)(const void *)({place})"
            lines.append(f"    tc_coded_all({name}, {code.words}u, {place}, {size}u, (uint16_t *)scratch);")
            at += _room(size)
    return Function(
        f"coded_{function.stem}",
        tuple(parameters),
        "\n".join([*lines, f"    $0({', '.join(arguments)});"]) + "\n",
        HEADERS,
        "Decodes constants to RAM, from where they are read.",
        callees=(function,),
    )
